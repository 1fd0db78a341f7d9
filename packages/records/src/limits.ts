/** Every bound of this package, with its reason. The receiver's table decides; nothing on the wire raises a bound. */

const second = 1000
const day = 24 * 60 * 60 * second

/** A signed record never exceeds this, whatever its kind: decoding hostile CBOR costs time in proportion to size. */
export const recordBytesMax = 64 * 1024

/** Nesting of maps and arrays in one body. Real records need five. */
export const depthMax = 8

/** How far ahead of the receiver's clock a record may claim to be made: home computers drift, five minutes is generous. */
export const clockSkewMsMax = 5 * 60 * second

/** Wider than envelope overhead (two byte strings, two keys and a 64-byte signature). */
export const envelopeBytesMax = 96

export const marketCharsMax = 64
export const keyCharsMax = 96

/** A two-hundred-character title is an advertisement. */
export const titleCharsMax = 140
export const textCharsMax = 8000
export const nameCharsMax = 64
export const tagsMax = 16
export const tagCharsMax = 32
export const imagesMax = 12
export const imageBytesMax = 1024 * 1024
export const settlementsMax = 8
export const deliveriesMax = 8
export const arbitratorsMax = 8
export const peersMax = 8
/** One an installation, of which there are {@link peersMax} at most. */
export const prekeysMax = 8
export const addressCharsMax = 256

/** 39 decimal digits: 2^128, more than any token's supply in its smallest unit. */
export const moneyDigitsMax = 39

/** Bounds of one kind of record. */
export interface KindLimits {
  /** Of the whole signed record. */
  readonly bytesMax: number
  /** From `createdAt` to `expiresAt`. */
  readonly lifeMsMax: number
  /** Live records of one unknown author that a node keeps. */
  readonly liveUnknownMax: number
  /** Live records of one trusted author that a node keeps. */
  readonly liveTrustedMax: number
  /** An immutable record has `seq` 0, content, and is never replaced: its slot holds every differing one as evidence. */
  readonly immutable: boolean
  /** Stands on a receipt that another identity has signed: costs the least work, and has a room of its own in a store. */
  readonly receiptBound: boolean
}

/** PROTOCOL: the kinds and what bounds each. Adding a kind is one row here and one file in `kinds/`. */
export const kindLimits = {
  profile: {
    bytesMax: 8 * 1024,
    lifeMsMax: 30 * day,
    liveUnknownMax: 1,
    liveTrustedMax: 1,
    immutable: false,
    receiptBound: false
  },
  listing: {
    bytesMax: 16 * 1024,
    lifeMsMax: 30 * day,
    liveUnknownMax: 100,
    liveTrustedMax: 1000,
    immutable: false,
    receiptBound: false
  },
  feedback: {
    bytesMax: 8 * 1024,
    lifeMsMax: 730 * day,
    // Three sales a day for as long as a rating lives; what strangers take up together has a room of its own.
    liveUnknownMax: 2000,
    liveTrustedMax: 5000,
    immutable: true,
    receiptBound: true
  },
  presence: {
    bytesMax: 4 * 1024,
    lifeMsMax: 2 * day,
    liveUnknownMax: 1,
    liveTrustedMax: 1,
    immutable: false,
    receiptBound: false
  }
} as const satisfies Record<string, KindLimits>

/** Keys that one verifier remembers: a thousand authors at about 1 kB each. */
export const verifierKeysMax = 1024

/** Fewer signatures than this in one go are verified on the pool: a message to a thread and back costs as much as five. */
export const claimsPerThreadMin = 8

/** Signatures in quick succession before a thread is started for them: it takes 40 ms, as long as verifying 400. */
export const claimsBeforeThread = 256

/** A thread for signatures that has had nothing to do for so long is ended. */
export const threadQuietMs = 5 * second

/** Heap of that thread, in MiB: keys of a thousand authors, and the batches under way. */
export const threadHeapMb = 24
export const threadYoungHeapMb = 4

/** Differing immutable records kept in one slot: two are enough to show that their author said two things. */
export const conflictsPerSlotMax = 2

/** Bits of work that a record may claim. */
export const workBitsMax = 32

/** The least that is asked of a stranger at all: 4,096 tries, a millisecond. */
export const workBitsMin = 12

/** No node asks for more, however full or busy it is: 4 million tries take a laptop a second, a telephone ten. */
export const workBitsAskedMax = 22

/** What {@link workBitsMin} buys: an ordinary listing, with its description, for the longest life of one. */
export const workUnitBytes = 2048
export const workUnitMs = 30 * day

/** What `pow` adds to a body at most: 4 for its name, 1 for a map, 7 for `bits`, 15 for `nonce`. */
export const workFieldBytesMax = 27

/** scrypt cost of the keystore: N = 2^17, r = 8, p = 1 (OWASP 2025), about 0.3 s natively. */
export const scryptCostLog2 = 17

/** A keystore that asks for more is refused: 2^18 takes 256 MiB, which the smallest machines just have. */
export const scryptCostLog2Max = 18

/** For tests; below it scrypt is no protection worth the name. */
export const scryptCostLog2Min = 10

/** A keystore has about 400 bytes. */
export const keystoreBytesMax = 1024
