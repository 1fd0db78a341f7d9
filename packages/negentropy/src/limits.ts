/** Bytes of an id. The protocol fixes it ("Id := Byte{32}"). */
export const idBytes = 32

/** Bytes of a fingerprint. The protocol fixes it ("Fingerprint := Byte{16}"). */
export const fingerprintBytes = 16

/** The first byte of every message: protocol version 1. */
export const protocolVersion = 0x61

/**
 * The latest timestamp an item may have. A finite bound travels as `1 + offset`, so this is the largest whose encoding
 * still is an exact integer of a JavaScript number (2^53 - 1). In milliseconds it lies 285,000 years ahead.
 */
export const timestampMsMax = Number.MAX_SAFE_INTEGER - 1

/** Digits of a varint that we read: 8 × 7 bits hold 53. A ninth digit can only be an attack or another protocol. */
export const varintBytesMax = 8

/** The protocol's floor for a frame: below it a frame might not hold one split, and a session would not advance. */
export const frameBytesFloor = 4096

/** What we send at most in one message. 64 kB frames cost 14 to 66 round trips on scattered differences. */
export const frameBytesMaxDefault = 1 << 20

/** What we accept in one message: the same, since both ends of `/souk/sync/1` are bound by it. */
export const messageBytesMaxDefault = 1 << 20

/**
 * Messages taken in one session. A split divides by 16, so a million items need 5 levels; what is above that is frames
 * that overflowed. 64 frames of 1 MiB list two million ids: more than a partition ever holds.
 */
export const roundsMaxDefault = 64

/**
 * Ranges in one message, read or written. Each costs the reader a search and one SHA-256, about 4 µs, so this
 * is 0.13 s of work for the worst message (measured, test/reconcile.bench.ts); an honest one of 180 scattered
 * differences in 100,000 has about 3,000.
 */
export const rangesMaxDefault = 32_768

/**
 * Ranges compared in one step: each is answered with {@link bucketsMax} fingerprints at most, so a tenth of a millisecond
 * where the code is warm, and half of one in the first session of a process.
 */
export const rangesPerStep = 8

/** Ids in one message: what fits a frame of 1 MiB. It binds when a caller raises the frame. */
export const idsMaxDefault = 32_768

/** Ids a session reports, have and need together: what stops a peer that answers the same ranges over and over. */
export const resultsMaxDefault = 1_000_000

/** Parts of a split. The protocol leaves it open; 16 is what the reference does. */
export const bucketsMax = 16

/**
 * A range of at most so many items is listed, not split. The protocol leaves it open; the reference lists up to 31.
 * Listing costs 32 bytes an item where a fingerprint costs about 22 for any number: 8 halves the bytes of scattered
 * differences for one round more (docs/decisions/0231).
 */
export const listedMax = 8

/**
 * What a responder lists at once, as the reference does always, where differences are dense: of {@link denseMin}
 * fingerprints in a message or more, {@link denseShareMin} were not its own. Its list settles the range, where a cut would only
 * have it asked again. An initiator's list would be answered with another, so it goes on cutting (docs/decisions/0231).
 */
export const listedDenseMax = 31
export const denseMin = 32
export const denseShareMin = 0.75

/**
 * Ids that a responder lists in one session, as a share of what it has and beside that. An initiator asks nothing more about
 * a range whose ids it has: of all differences tried, up to every second of 100,000 in 41 rounds of messages cut short,
 * none had an id listed twice (test/told.test.ts). The rest is for sets that change meanwhile.
 */
export const listedShareMax = 1.25
export const listedSlack = 256

/**
 * Fingerprints that a responder sends in one session, as a share of its items and beside that: ranges of more than
 * {@link listedMax} items are cut, so that there are fewer than items. At most 0.39 were seen, for sets of 203 and of
 * 100,000 items; whoever makes up ranges has used that up after a message or two.
 */
export const comparedShareMax = 0.5
export const comparedSlack = 256

/** For each message besides: one that was cut short is followed by a range over all that is left, which is cut again. */
export const comparedPerMessageMax = 64
