/**
 * What a keeper holds: grow-only sets of feedback, bounded.
 *
 * A bound invites stuffing, so what gives way is chosen such that the rated one gains nothing by it. A receipt needs
 * the subject's own signature: only the subject can make feedback about itself in bulk. It would make good ones, so
 * the best give way first. Among equals a secret of each keeper decides, so that nobody can work out a set that
 * crowds a given record out of all keepers. When the shelf as a whole is full, the subject farthest from this peer
 * gives way: others are nearer to it.
 *
 * Keys: `r/<subject>/<digest>` the record; `a/<subject>/<author>/<order>/<digest>` for quotas;
 * `e/<subject>/<rank>/<digest>` the order of giving way, last first; `x/<expiry>/<subject>/<digest>`; `secret`.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, randomBytes } from '@noble/hashes/utils.js'
import { conflictsPerSlotMax, recordDigest, reopenRecord } from '@souk/records'
import { ProtocolError } from '../protocol-error.ts'
import { countKeys, createQueue, type KeyValueOperation, type KeyValueStore, prefixRange, timeKey } from '../store.ts'
import { shelfLimits } from './limits.ts'
import { addToSum, type SetPage, type SetSummary } from './located-set.ts'
import type { FeedbackRecord } from './value.ts'

/** The bounds of one shelf. */
export interface ShelfLimits {
  readonly recordsPerAuthorMax: number
  readonly recordsPerSubjectMax: number
  readonly recordsMax: number
}

/** What a keeper holds. Digests are 32 bytes; subjects are 32-byte public keys. */
export interface Shelf {
  /**
   * Takes a record in.
   *
   * @throws {@link ProtocolError} `slot-full`, `author-full`, `subject-full` or `store-full`.
   */
  add(record: FeedbackRecord): Promise<'kept' | 'known'>
  summary(subject: Uint8Array): SetSummary
  /** At most `limit` digests after `after`, ascending. */
  page(subject: Uint8Array, options: { after: Uint8Array | undefined; limit: number }): Promise<SetPage>
  get(subject: Uint8Array, digest: Uint8Array): Promise<Uint8Array | undefined>
  /** All that it holds of a subject. */
  records(subject: Uint8Array): Promise<FeedbackRecord[]>
  /** Public keys of all subjects that it holds something of. */
  subjects(): Uint8Array[]
  /** Records of all subjects together. */
  count(): number
  /** Drops what has expired. */
  sweep(): Promise<void>
}

/** @param init.distance - How far a subject is from this peer; the larger of two sorts later. */
export async function createShelf(
  components: { store: KeyValueStore },
  init: { now: () => number; distance: (subject: Uint8Array) => string; limits?: Partial<ShelfLimits> }
): Promise<Shelf> {
  const { store } = components
  const limits: ShelfLimits = { ...shelfLimits, ...init.limits }
  const secret = await loadSecret(store)
  const sets = await loadSets(store, init.distance)
  const inOrder = createQueue()
  let total = Array.from(sets.values()).reduce((sum, { count }) => sum + count, 0)

  const setOf = (subject: string): HeldSet =>
    sets.get(subject) ?? { count: 0, sum: 0n, distance: init.distance(hexToBytes(subject)) }

  function tally(subject: string, digest: string, sign: 1n | -1n): void {
    const { count, sum, distance } = setOf(subject)
    const next = { count: count + Number(sign), sum: addToSum(sum, hexToBytes(digest), sign), distance }
    total += Number(sign)
    if (next.count === 0) sets.delete(subject)
    else sets.set(subject, next)
  }

  async function add(record: FeedbackRecord): Promise<'kept' | 'known'> {
    const entry = entryOf(record, secret)
    if ((await store.get(entry.keys.record)) !== undefined) return 'known'
    await checkAuthor(entry)
    const leaving = await makeRoom(entry)
    await store.batch([...(leaving ? removalOf(leaving) : []), ...insertionOf(entry, record.bytes)])
    if (leaving) tally(leaving.subject, leaving.digest, -1n)
    tally(entry.subject, entry.digest, 1n)
    return 'kept'
  }

  async function checkAuthor({ subject, author, slot }: Entry): Promise<void> {
    if ((await countKeys(store, `a/${subject}/${author}/${slot}/`, conflictsPerSlotMax)) >= conflictsPerSlotMax) {
      throw new ProtocolError('slot-full', `${conflictsPerSlotMax} differing records of one order are held already`)
    }
    const most = limits.recordsPerAuthorMax
    if ((await countKeys(store, `a/${subject}/${author}/`, most)) >= most) {
      throw new ProtocolError('author-full', `${most} records of this author on this subject are held already`)
    }
  }

  /** The entry that gives way to `entry`, if one must. */
  async function makeRoom(entry: Entry): Promise<Entry | undefined> {
    if (setOf(entry.subject).count >= limits.recordsPerSubjectMax) {
      return giveWay(entry, { of: entry.subject, code: 'subject-full' })
    }
    if (total < limits.recordsMax) return undefined
    return giveWay(entry, { of: farthest(sets, entry.subject, setOf(entry.subject).distance), code: 'store-full' })
  }

  async function giveWay(
    entry: Entry,
    { of, code }: { of: string; code: 'subject-full' | 'store-full' }
  ): Promise<Entry | undefined> {
    for await (const key of store.keys({ ...prefixRange(`e/${of}/`), reverse: true, limit: 1 })) {
      if (of === entry.subject && key <= entry.keys.rank) break
      const bytes = await store.get(`r/${of}/${key.slice(key.lastIndexOf('/') + 1)}`)
      if (bytes !== undefined) return entryOf(reopenRecord(bytes) as FeedbackRecord, secret)
    }
    throw new ProtocolError(code, 'nothing that is held gives way to this record')
  }

  async function page(
    subject: Uint8Array,
    { after, limit }: { after: Uint8Array | undefined; limit: number }
  ): Promise<SetPage> {
    const prefix = `r/${bytesToHex(subject)}/`
    const range =
      after === undefined ? prefixRange(prefix) : { gt: prefix + bytesToHex(after), lt: prefixRange(prefix).lt }
    const digests: Uint8Array[] = []
    for await (const key of store.keys({ ...range, limit: limit + 1 }))
      digests.push(hexToBytes(key.slice(prefix.length)))
    return { digests: digests.slice(0, limit), more: digests.length > limit }
  }

  async function records(subject: Uint8Array): Promise<FeedbackRecord[]> {
    const all: FeedbackRecord[] = []
    for await (const [, bytes] of store.iterator(prefixRange(`r/${bytesToHex(subject)}/`))) {
      all.push(reopenRecord(bytes) as FeedbackRecord)
    }
    return all
  }

  async function sweep(): Promise<void> {
    for await (const key of store.keys({ gte: 'x/', lt: `x/${timeKey(init.now())}` })) {
      const [, , subject = '', digest = ''] = key.split('/')
      const bytes = await store.get(`r/${subject}/${digest}`)
      if (bytes === undefined) continue
      await store.batch(removalOf(entryOf(reopenRecord(bytes) as FeedbackRecord, secret)))
      tally(subject, digest, -1n)
    }
  }

  return {
    add: (record) => inOrder(() => add(record)),
    summary(subject) {
      const { count, sum } = setOf(bytesToHex(subject))
      return { count, sum }
    },
    page,
    records,
    get: (subject, digest) => store.get(`r/${bytesToHex(subject)}/${bytesToHex(digest)}`),
    subjects: () => Array.from(sets.keys(), (subject) => hexToBytes(subject)),
    count: () => total,
    sweep: () => inOrder(sweep)
  }
}

interface HeldSet extends SetSummary {
  readonly distance: string
}

/** A record's places on the shelf; hexadecimal. */
interface Entry {
  readonly subject: string
  readonly digest: string
  readonly author: string
  readonly slot: string
  readonly keys: { readonly record: string; readonly author: string; readonly rank: string; readonly expiry: string }
}

function entryOf(record: FeedbackRecord, secret: Uint8Array): Entry {
  const digestBytes = recordDigest(record.id)
  const subject = bytesToHex(record.content.subject)
  const digest = bytesToHex(digestBytes)
  const author = bytesToHex(record.author)
  const slot = record.key
  const rank = `${record.content.stars}${bytesToHex(sha256(concatBytes(secret, digestBytes)).subarray(0, 8))}`
  const keys = {
    record: `r/${subject}/${digest}`,
    author: `a/${subject}/${author}/${slot}/${digest}`,
    rank: `e/${subject}/${rank}/${digest}`,
    expiry: `x/${timeKey(record.expiresAtMs)}/${subject}/${digest}`
  }
  return { subject, digest, author, slot, keys }
}

const nothing = new Uint8Array()

function insertionOf({ keys }: Entry, bytes: Uint8Array): KeyValueOperation[] {
  const marks = [keys.author, keys.rank, keys.expiry].map((key) => ({ type: 'put' as const, key, value: nothing }))
  return [{ type: 'put', key: keys.record, value: bytes }, ...marks]
}

function removalOf({ keys }: Entry): KeyValueOperation[] {
  return Object.values(keys).map((key) => ({ type: 'del', key }))
}

function farthest(sets: ReadonlyMap<string, HeldSet>, from: string, distance: string): string {
  let farthestYet = { subject: from, distance }
  for (const [subject, set] of sets) {
    if (set.distance > farthestYet.distance) farthestYet = { subject, distance: set.distance }
  }
  return farthestYet.subject
}

async function loadSets(
  store: KeyValueStore,
  distance: (subject: Uint8Array) => string
): Promise<Map<string, HeldSet>> {
  const sets = new Map<string, HeldSet>()
  for await (const key of store.keys(prefixRange('r/'))) {
    const [, subject = '', digest = ''] = key.split('/')
    const {
      count,
      sum,
      distance: far
    } = sets.get(subject) ?? { count: 0, sum: 0n, distance: distance(hexToBytes(subject)) }
    sets.set(subject, { count: count + 1, sum: addToSum(sum, hexToBytes(digest), 1n), distance: far })
  }
  return sets
}

async function loadSecret(store: KeyValueStore): Promise<Uint8Array> {
  const known = await store.get('secret')
  if (known !== undefined) return known
  const secret = randomBytes(32)
  await store.batch([{ type: 'put', key: 'secret', value: secret }])
  return secret
}
