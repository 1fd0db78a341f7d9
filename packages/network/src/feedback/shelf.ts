/**
 * What a keeper holds: grow-only sets of feedback, bounded.
 *
 * A bound invites stuffing, so what gives way is chosen such that the rated one gains nothing by it. A receipt needs
 * the subject's own signature: only the subject can make feedback about itself in bulk. It would make good ones, so
 * the best give way first. Among equals a secret of each keeper decides, so that nobody can work out a set that
 * crowds a given record out of all keepers. When the shelf as a whole is full, the block of addresses that has brought
 * most gives way, for identities that trade with themselves cost little; of what it brought, the subject farthest
 * from this peer: others are nearer to it.
 *
 * Keys: `r/<subject>/<digest>` the record; `a/<subject>/<author>/<order>/<digest>` for quotas, with a name for the block
 * that brought it; `e/<subject>/<rank>/<digest>` the order of giving way in a set, last first;
 * `o/<block>/<distance>/<subject>/<rank>/<digest>` that of what a block brought; `x/<expiry>/<subject>/<digest>`; `secret`.
 */
import { bytesToHex, concatBytes, hexToBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { conflictsPerSlotMax, recordDigest, reopenRecord } from '@souk/records'
import { Shares } from '../guard/shares.ts'
import { ProtocolError } from '../protocol-error.ts'
import { sha256 } from '../sha256.ts'
import { createQueue, type KeyValueOperation, type KeyValueStore, prefixRange, timeKey } from '../store.ts'
import { Familiar } from './familiar.ts'
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
   * @param from.block - Of the addresses that it came from; absent for what this node itself has to say.
   * @throws {@link ProtocolError} `slot-full`, `author-full`, `subject-full` or `store-full`.
   */
  add(record: FeedbackRecord, from?: { readonly block: string }): Promise<'kept' | 'known'>
  /** True for bytes that it has taken in and still holds, as far as it remembers. Costs next to nothing. */
  isFamiliar(bytes: Uint8Array): boolean
  summary(subject: Uint8Array): SetSummary
  /** At most `limit` digests after `after`, ascending. */
  page(subject: Uint8Array, options: { after: Uint8Array | undefined; limit: number }): Promise<SetPage>
  get(subject: Uint8Array, digest: Uint8Array): Promise<Uint8Array | undefined>
  /** All that it holds of a subject. */
  records(subject: Uint8Array): Promise<FeedbackRecord[]>
  /** Public keys of all subjects that it holds something of. */
  subjects(): Uint8Array[]
  /** How many those are. */
  subjectCount(): number
  /** Records of all subjects together. */
  count(): number
  /** Drops what has expired. */
  sweep(): Promise<void>
  /** Drops what an identity has written; what others wrote about it is theirs. Returns how many records that were. */
  drop(author: Uint8Array): Promise<number>
}

/** @param init.distance - How far a subject is from this peer; the larger of two sorts later. */
export async function createShelf(
  components: { store: KeyValueStore },
  init: { now: () => number; distance: (subject: Uint8Array) => string; limits?: Partial<ShelfLimits> }
): Promise<Shelf> {
  const { store } = components
  const limits: ShelfLimits = { ...shelfLimits, ...init.limits }
  const secret = await loadSecret(store)
  const sets = await loadSets(store)
  const inOrder = createQueue()
  const blocks = await loadBlocks(store)
  const familiar = new Familiar()
  let total = Array.from(sets.values()).reduce((sum, { count }) => sum + count, 0)

  const setOf = (subject: string): SetSummary => sets.get(subject) ?? { count: 0, sum: 0n }

  function tally(subject: string, digest: string, sign: 1n | -1n): void {
    const { count, sum } = setOf(subject)
    const next = { count: count + Number(sign), sum: addToSum(sum, hexToBytes(digest), sign) }
    total += Number(sign)
    if (next.count === 0) sets.delete(subject)
    else sets.set(subject, next)
  }

  async function add(record: FeedbackRecord, from: { block: string } | undefined): Promise<'kept' | 'known'> {
    const entry = placesOf(record, from === undefined ? own : nameOf(from.block, secret))
    // Of a new subject there is nothing to look for: whoever comes with many of them gets no read for each.
    if (sets.has(entry.subject)) {
      if ((await store.get(entry.keys.record)) !== undefined) return 'known'
      await checkAuthor(entry)
    }
    const leaving = await makeRoom(entry)
    await store.batch([...(leaving ? removalOf(leaving) : []), ...insertionOf(entry, record.bytes)])
    if (leaving) tallyEntry(leaving, -1n)
    tallyEntry(entry, 1n)
    familiar.add(entry.digest, record)
    return 'kept'
  }

  const placesOf = (record: FeedbackRecord, block: string): Entry =>
    entryOf(record, { secret, block, distance: init.distance(record.content.subject) })

  function tallyEntry({ subject, digest, block }: Entry, sign: 1n | -1n): void {
    tally(subject, digest, sign)
    if (sign < 0n) familiar.forget(digest)
    if (block !== own) blocks.add(block, Number(sign))
  }

  /** All places of a record that is held. */
  async function heldEntry(subject: string, digest: string): Promise<Entry | undefined> {
    const bytes = await store.get(`r/${subject}/${digest}`)
    if (bytes === undefined) return undefined
    const record = reopenRecord(bytes) as FeedbackRecord
    const block = await store.get(placesOf(record, own).keys.author)
    return placesOf(record, new TextDecoder().decode(block))
  }

  async function remove(subject: string, digest: string): Promise<boolean> {
    const entry = await heldEntry(subject, digest)
    if (entry === undefined) return false
    await store.batch(removalOf(entry))
    tallyEntry(entry, -1n)
    return true
  }

  async function checkAuthor({ subject, author, slot }: Entry): Promise<void> {
    const most = limits.recordsPerAuthorMax
    let [ofAuthor, ofSlot] = [0, 0]
    for await (const key of store.keys({ ...prefixRange(`a/${subject}/${author}/`), limit: most })) {
      ofAuthor++
      if (key.startsWith(`a/${subject}/${author}/${slot}/`)) ofSlot++
    }
    if (ofSlot >= conflictsPerSlotMax) {
      throw new ProtocolError('slot-full', `${conflictsPerSlotMax} differing records of one order are held already`)
    }
    if (ofAuthor >= most) {
      throw new ProtocolError('author-full', `${most} records of this author on this subject are held already`)
    }
  }

  /** The entry that gives way to `entry`, if one must. */
  async function makeRoom(entry: Entry): Promise<Entry | undefined> {
    if (setOf(entry.subject).count >= limits.recordsPerSubjectMax) {
      return giveWay(entry)
    }
    if (total < limits.recordsMax) return undefined
    return giveWayOfBlock(entry)
  }

  /** The record that gives way within a full set. */
  async function giveWay(entry: Entry): Promise<Entry | undefined> {
    for await (const key of store.keys({ ...prefixRange(`e/${entry.subject}/`), reverse: true, limit: 1 })) {
      if (key <= entry.keys.rank) break
      return heldEntry(entry.subject, key.slice(key.lastIndexOf('/') + 1))
    }
    throw new ProtocolError('subject-full', 'nothing that is held gives way to this record')
  }

  /** The farthest of the block that has most; of the newcomer's own only what is farther than it. */
  async function giveWayOfBlock(entry: Entry): Promise<Entry | undefined> {
    const block = blocks.crowding(entry.block) ?? entry.block
    for await (const key of store.keys({ ...prefixRange(`o/${block}/`), reverse: true, limit: 1 })) {
      if (block === entry.block && key <= entry.keys.order) break
      const [, , , subject = '', , digest = ''] = key.split('/')
      return heldEntry(subject, digest)
    }
    throw new ProtocolError('store-full', 'nothing that is held gives way to this record')
  }

  async function page(
    subject: Uint8Array,
    { after, limit }: { after: Uint8Array | undefined; limit: number }
  ): Promise<SetPage> {
    if (!sets.has(bytesToHex(subject))) return { digests: [], more: false }
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
      await remove(subject, digest)
    }
  }

  async function drop(author: string): Promise<number> {
    let count = 0
    for await (const key of store.keys(prefixRange('a/'))) {
      const [, subject = '', by, , digest = ''] = key.split('/')
      if (by === author && (await remove(subject, digest))) count++
    }
    return count
  }

  return {
    add: (record, from) => inOrder(() => add(record, from)),
    isFamiliar: (bytes) => familiar.has(bytes, init.now()),
    summary(subject) {
      const { count, sum } = setOf(bytesToHex(subject))
      return { count, sum }
    },
    page,
    records,
    get: (subject, digest) => store.get(`r/${bytesToHex(subject)}/${bytesToHex(digest)}`),
    subjects: () => Array.from(sets.keys(), (subject) => hexToBytes(subject)),
    subjectCount: () => sets.size,
    count: () => total,
    sweep: () => inOrder(sweep),
    drop: (author) => inOrder(() => drop(bytesToHex(author)))
  }
}

/** A record's places on the shelf; hexadecimal. */
interface Entry {
  readonly subject: string
  readonly digest: string
  readonly author: string
  readonly slot: string
  /** A name for the block of addresses that brought it; {@link own} for none. */
  readonly block: string
  readonly keys: {
    readonly record: string
    readonly author: string
    readonly rank: string
    readonly order: string
    readonly expiry: string
  }
}

/** What this node has to say itself belongs to no block, and makes room for nobody. */
const own = ''

function nameOf(block: string, secret: Uint8Array): string {
  return bytesToHex(sha256(concatBytes(secret, utf8ToBytes(block))).subarray(0, 8))
}

function entryOf(
  record: FeedbackRecord,
  { secret, block, distance }: { secret: Uint8Array; block: string; distance: string }
): Entry {
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
    order: `o/${block}/${distance}/${subject}/${rank}/${digest}`,
    expiry: `x/${timeKey(record.expiresAtMs)}/${subject}/${digest}`
  }
  return { subject, digest, author, slot, block, keys }
}

const nothing = new Uint8Array()

function insertionOf({ keys, block }: Entry, bytes: Uint8Array): KeyValueOperation[] {
  const marks = [keys.rank, keys.order, keys.expiry].map((key) => ({ type: 'put' as const, key, value: nothing }))
  const author = { type: 'put' as const, key: keys.author, value: utf8ToBytes(block) }
  return [{ type: 'put', key: keys.record, value: bytes }, author, ...marks]
}

function removalOf({ keys }: Entry): KeyValueOperation[] {
  return Object.values(keys).map((key) => ({ type: 'del', key }))
}

/** How many records each block of addresses has brought. */
async function loadBlocks(store: KeyValueStore): Promise<Shares> {
  const blocks = new Shares()
  for await (const key of store.keys(prefixRange('o/'))) {
    const block = key.split('/')[1] ?? own
    if (block !== own) blocks.add(block, 1)
  }
  return blocks
}

async function loadSets(store: KeyValueStore): Promise<Map<string, SetSummary>> {
  const sets = new Map<string, SetSummary>()
  for await (const key of store.keys(prefixRange('r/'))) {
    const [, subject = '', digest = ''] = key.split('/')
    const { count, sum } = sets.get(subject) ?? { count: 0, sum: 0n }
    sets.set(subject, { count: count + 1, sum: addToSum(sum, hexToBytes(digest), 1n) })
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
