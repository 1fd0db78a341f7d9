/** Every bound and default of this package, each with its reason. */

/** The shortest times that a person or a node can be asked to live with, in seconds. */
export const windowBounds = {
  /** Two RPC round trips and a person's hesitation: an order that must be accepted sooner cannot be relied upon. */
  acceptAheadSecondsMin: 10 * 60,
  /** A seller who is at the market for a while must be able to dispatch in time. Zero (acceptance is dispatch) is allowed. */
  dispatchWindowSecondsMin: 60 * 60,
  /** Below an hour a buyer cannot open the parcel, let alone object. */
  releaseWindowSecondsMin: 60 * 60,
  /** A deposit that is held at all must be held long enough to look at the thing that came back. */
  depositWindowSecondsMin: 60 * 60,
  /** An arbiter reads evidence by hand; after the window the default split applies. */
  rulingWindowSecondsMin: 24 * 60 * 60
} as const

/** The same bound as in the contract (`AHEAD_MAX`): no time in an order lies further ahead than ten years. */
export const aheadSecondsMax = 3650 * 24 * 60 * 60

/** As in the contract. */
export const feeBpsMax = 1_000
/** As in the contract. */
export const arbiterFeeBpsMax = 2_500
/** One whole in basis points. */
export const bps = 10_000

/** Two minutes: ten blocks of the slowest chain that we settle on; then the fee was too low and is raised. */
export const replaceAfterMs = 120_000

/** Clients refuse a replacement below +10 %; 25 % passes and doubles the fee in four steps. */
export const replaceFeePercent = 125n

/** Six rises are a factor of 3.8; more than that is for a person to decide. */
export const replacementsMax = 6

/** A receipt is asked for once a second: no chain that we settle on makes blocks faster than people read. */
export const receiptPollMs = 1_000

/** Ten minutes without a receipt: the call gives up, the journal does not. */
export const receiptTimeoutMs = 600_000

/** `estimateGas` finds the least that works now; a cold slot or a refusing recipient may cost a little more later. */
export const gasMarginPercent = 120n

/** One RPC answer; a public endpoint that takes longer is down. */
export const rpcTimeoutMs = 15_000

/** Blocks whose hashes are remembered: deeper reorganisations than this have not happened on a chain with finality. */
export const ringBlocks = 128

/** What most public endpoints allow for one `eth_getLogs`. */
export const logSpanMax = 10_000
export const logSpanStart = 1_000

/** More logs than this in one answer is not an answer to our question: the span is halved. */
export const logsPerAnswerMax = 20_000

/** A tip that did not move for two minutes is taken for a lagging endpoint. */
export const lagMs = 120_000

/** Time between two looks at the chain. */
export const watchPollMs = 2_000

/** Blocks under which a fact counts as final, the fact's own block included. */
export const confirmations = 12

/** Twice what a keystore with N = 2^18, r = 8 needs, the largest in use; a hostile file asks for more. */
export const scryptMemoryBytesMax = 512 * 1024 * 1024

/** Orders asked for in one `eth_getLogs`: endpoints cut filters that are longer. */
export const topicsPerQuestionMax = 100

/** Headers asked for at a time while catching up. */
export const headersAtOnceMax = 16
