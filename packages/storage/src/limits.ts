/** Every bound of this package, with its reason. */

const minute = 60_000
const day = 24 * 60 * minute

/** Milliseconds of the days that partitions and expiry are counted in (UTC, from 1970). */
export const dayMs = day

/** What one node keeps of other people's records. */
export interface StorageLimits {
  /** Peers' and own records together, tombstones included. */
  readonly recordsMax: number
  /** Bytes of all records as they travel; indexes add about a half. */
  readonly bytesMax: number
  /** Ids that were superseded, remembered until they expire so that they are not fetched again. */
  readonly staleMax: number
  /** Removals kept in the change log: what a projection that was away can follow. Beyond it, it starts over. */
  readonly removalsKept: number
}

export const storageLimits: StorageLimits = {
  // A market of 100,000 listings and its people and feedback; 40 bytes of memory each in the catch-up trees.
  recordsMax: 400_000,
  // Listings are 2 kB on average: the count binds first, this stops authors of many large ones.
  bytesMax: 2 * 1024 ** 3,
  // 80 bytes each on disk. Above it an old revision may be fetched and refused once more, nothing worse.
  staleMax: 1_000_000,
  // 50 bytes each; a rebuild of 100,000 listings costs 15 s of CPU, so it should be rare.
  removalsKept: 20_000
}

/**
 * The part of the room that receipt-bound records of unknown authors may take. They cost little work, and two identities
 * of one person can sign receipts for each other all day: what comes cheap must not crowd out what was worked for. A
 * quarter is 100,000 ratings.
 */
export const receiptsShare = 0.25

/** Slots an author may hold for each live record: tombstones keep theirs until they expire, so deleting frees a place. */
export const slotsPerLive = 2

/** Records written in one Level batch: longer batches gain nothing and make the first caller wait. */
export const batchRecordsMax = 1000

/** Bytes of records in one Level batch: a batch is copied into memory and into the log as a whole. */
export const batchBytesMax = 4 * 1024 * 1024

/** Records in one call, which is one batch: a caller with more has to cut them anyway. */
export const putRecordsMax = 5000

/** Authors' counts, one for each kind, that are remembered: 0.3 kB each, and as many as publish in a busy hour. */
export const countsKeptMax = 4096

/** Names that a filter over a table has room for at least, a byte each. */
export const namesMin = 16 * 1024

/** How many times what there is a filter has room for: it is made anew, of all that there is, when that is full. */
export const namesGrowth = 4

/** Rows of one read: `nextv(1000)` reads 605k rows/s, row by row 118k. */
export const scanRows = 1000

/** Entries taken out in one batch by a sweep, so that puts are not kept waiting. */
export const sweepRecordsMax = 500

/** Rows that one page of a list or of the change log has at most. */
export const pageMax = 1000

/** Sequence numbers reserved by one synced write. None is used twice, not even after a power cut took the log's tail. */
export const sequencesReserved = 65_536

/** Partitions whose ids are held in memory at once, 40 bytes an id; the rest is read again when a peer asks. */
export const partitionsLoadedMax = 512

/** Ids that one question about wanted ids holds: what fits a frame of 1 MiB. */
export const wantedMax = 32_768

/** Digests refused for want of room, not to be fetched again for a while. 20,000 take about 3 MB. */
export const refusedMax = 20_000

/** How long a refused digest is not wanted: quotas rarely change within the hour between two catch-ups. */
export const refusedMs = 60 * minute

/** How long a digest is not wanted that had too little work: a flood is over within minutes, and work asked falls with it. */
export const putOffMs = 5 * minute

/** Written at the start and given up when the disk is full: room for Level to close, open and write what is ours. */
export const reserveBytes = 32 * 1024 * 1024

/** Given up when the database does not open for want of space: Level writes its log out, 4 MiB at most, and a list. */
export const lastReserveBytes = 8 * 1024 * 1024

/** How often a full disk is looked at for space. */
export const recoverEveryMs = 10_000

/** Events of one order. A shop order has about 12, a year of instalments under 200. */
export const eventsPerOrderMax = 2000

/** One signed order event, as large as the largest record. */
export const eventBytesMax = 64 * 1024

/** Messages waiting in the outbox, for all recipients. */
export const outboxMax = 10_000

/** One sealed message, padded to a power of two. */
export const messageBytesMax = 256 * 1024

/** Dead letters of one sender, so that a stranger cannot fill the list. */
export const lettersPerSenderMax = 50

/** Dead letters of all senders. */
export const lettersMax = 1000

/** How long a message id is known as processed. Mailboxes keep 15 days, outboxes retry as long: twice that and more. */
export const seenMs = 60 * day

/** Listings that show one image, to ask their sellers for it: copies of a stolen photograph need no longer list. */
export const showingMax = 16

/** A second copy smaller than this is not worth writing anew. */
export const journalBytesMin = 4 * 1024 * 1024

/** A read that comes upon damage has everything looked at, at most this often: a second for each 100,000 records. */
export const lookCloserMs = 30_000

/** What nobody reads is looked at too, once a day: damage is found while peers still have what it took. */
export const lookAtAllMs = 24 * 3_600_000
