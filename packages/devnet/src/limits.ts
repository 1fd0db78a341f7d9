/** Bounds and defaults of a market for trying things out, each with its reason. */

/** A daemon answers after 2 s; on a machine that is busy compiling, after 20. */
export const startTimeoutMs = 60_000

/** A daemon drains for 20 s at most and then ends by itself; what is still there after this is killed. */
export const stopTimeoutMs = 25_000

/** The last lines of a process that died say why. */
export const logLinesMax = 40

/** What takes longer than this will not happen: the slowest honest wait is two blocks and a poll of the chain. */
export const waitTimeoutMs = 45_000

/** Looked at again without an event: indexing ends a moment after the event that tells of the record. */
export const lookEveryMs = 50

/** Looks are so far apart, however many events come: ten of eight questions each stay below what a node answers a second. */
export const lookPauseMs = 100

/** Fast enough to watch, slow enough that seen and final differ as on a public chain. */
export const blockSecondsDefault = 1

/** Coins for fees; anvil makes them from nothing. */
export const coinsForFees: bigint = 10n ** 18n

/** Most that one order may hold: the contract is unaudited. */
export const orderMax = 1_000_000_000n

/** A listing with its photograph is to be found elsewhere within this. */
export const findableWithinMs = 2000

/** npm sends a terminal's Ctrl-C on within milliseconds; one this much later means that somebody has had enough. */
export const secondSignalAfterMs = 2000
