import type { AbstractBatchOperation, AbstractLevel } from 'abstract-level'
import { ImagesError } from './errors.ts'
import { evictTo, ownerCharactersMax, touchIntervalMs } from './limits.ts'

/** A level, or sublevel, of string keys with JSON values, for this package alone. */
// oxlint-disable-next-line typescript/no-explicit-any -- the storage format is the implementation's own affair
export type ImageIndex = AbstractLevel<any, string, any>

/** What is known of a held block. */
export interface BlockRow {
  bytes: number
  /** By this node's clock, exact to {@link touchIntervalMs}. */
  usedAtMs: number
  /** How many owners hold on to it; 0 means that it is cached only. */
  pins: number
  /** Whether peers may have it. */
  public: boolean
  /** CID of the same picture as our own encoder wrote it; the block's own CID when we made it. */
  safe?: string
}

/** Sums over all rows. */
export interface LedgerTotals {
  pinnedBlocks: number
  pinnedBytes: number
  cachedBlocks: number
  cachedBytes: number
}

/**
 * Reference counts and last uses. Not Helia's pins: those walk the DAG behind a CID, and garbage in a dag-pb block
 * ends the process past any try/catch.
 *
 * Keys: `block/<cid>` → row, `use/<ms>/<cid>` (unpinned only, so eviction reads the oldest first),
 * `pin/<cid>/<owner>`, `own/<owner>/<cid>`.
 */
export interface Ledger {
  get(cid: string): Promise<BlockRow | undefined>
  /** Enters a block as cached; one that is known keeps its row. */
  record(cid: string, entry: { bytes: number; public: boolean; safe?: string }): Promise<void>
  /** Enters blocks as pinned, all or none, on disk when it returns. @throws `quota-exceeded` */
  own(owner: string, entries: { cid: string; bytes: number }[]): Promise<void>
  /** @throws `not-held`, `quota-exceeded` */
  pin(cid: string, owner: string): Promise<void>
  /** Lets go of everything that `owner` pinned; what nobody holds is cached from then on. */
  release(owner: string): Promise<number>
  touch(cid: string): Promise<void>
  setSafe(cid: string, safe: string): Promise<void>
  /** Takes the longest unused rows out until the cache is within its bound. Returns what was taken out. */
  evict(): Promise<{ cid: string; bytes: number }[]>
  totals(): Promise<LedgerTotals>
}

export interface LedgerInit {
  now: () => number
  cacheBytesMax: number
  pinnedBytesMax: number
}

type Operation = AbstractBatchOperation<ImageIndex, string, unknown>

export function createLedger(index: ImageIndex, init: LedgerInit): Ledger {
  let counted: Promise<LedgerTotals> | undefined
  const totals = (): Promise<LedgerTotals> => (counted ??= count(index))
  let turn: Promise<unknown> = Promise.resolve()

  /** One change after the other: each reads rows, decides, and writes one batch. */
  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const mine = turn.then(change)
    turn = mine.catch(() => undefined)
    return mine
  }

  const get = async (cid: string): Promise<BlockRow | undefined> =>
    (await index.get(`block/${cid}`)) as BlockRow | undefined

  async function write(changes: Change[], more: Operation[] = [], sync = false): Promise<void> {
    const sums = await totals()
    const operations = changes.flatMap((change) => operationsOf(change))
    await index.batch([...operations, ...more], durably(sync))
    for (const { before, after } of changes) {
      addTo(sums, before, -1)
      addTo(sums, after, 1)
    }
  }

  async function assertRoom(changes: Change[]): Promise<void> {
    const more = changes.reduce((sum, { before, after }) => sum + pinnedBytesOf(after) - pinnedBytesOf(before), 0)
    const { pinnedBytes } = await totals()
    if (more <= 0 || pinnedBytes + more <= init.pinnedBytesMax) return
    throw new ImagesError(
      'quota-exceeded',
      `${pinnedBytes} bytes are pinned and ${more} more exceed ${init.pinnedBytesMax}; release some or raise the bound`
    )
  }

  async function pinChange(
    cid: string,
    owner: string,
    fresh?: BlockRow
  ): Promise<Change & { operations: Operation[] }> {
    const before = await get(cid)
    const row = before ?? fresh
    if (row === undefined) throw new ImagesError('not-held', `${cid} is not held; fetch it before pinning it`)
    const isPinned = (await index.get(pinKey(cid, owner))) !== undefined
    const merged = {
      ...row,
      public: row.public || (fresh?.public ?? false),
      ...(fresh?.safe === undefined ? {} : { safe: fresh.safe })
    }
    if (isPinned) return { cid, before, after: merged, operations: [] }
    const after = { ...merged, pins: row.pins + 1, usedAtMs: init.now() }
    return { cid, before, after, operations: [put(pinKey(cid, owner), 1), put(ownKey(owner, cid), 1)] }
  }

  async function unpin(owner: string, cid: string): Promise<Change & { operations: Operation[] }> {
    const before = await get(cid)
    const after = before && { ...before, pins: Math.max(0, before.pins - 1), usedAtMs: init.now() }
    return { cid, before, after, operations: [del(pinKey(cid, owner)), del(ownKey(owner, cid))] }
  }

  return {
    get,
    totals: async () => ({ ...(await totals()) }),

    record: (cid, { bytes, public: isPublic, safe }) =>
      inTurn(async () => {
        const before = await get(cid)
        if (before !== undefined) return
        const after = {
          bytes,
          usedAtMs: init.now(),
          pins: 0,
          public: isPublic,
          ...(safe === undefined ? {} : { safe })
        }
        await write([{ cid, before, after }])
      }),

    own: (owner, entries) =>
      inTurn(async () => {
        assertOwner(owner)
        const changes = []
        for (const [cid, bytes] of new Map(entries.map((entry) => [entry.cid, entry.bytes]))) {
          const fresh = { bytes, usedAtMs: init.now(), pins: 0, public: true, safe: cid }
          changes.push(await pinChange(cid, owner, fresh))
        }
        await assertRoom(changes)
        await write(
          changes,
          changes.flatMap(({ operations }) => operations),
          true
        )
      }),

    pin: (cid, owner) =>
      inTurn(async () => {
        assertOwner(owner)
        const change = await pinChange(cid, owner)
        await assertRoom([change])
        await write([change], change.operations, true)
      }),

    release: (owner) =>
      inTurn(async () => {
        assertOwner(owner)
        const prefix = ownKey(owner, '')
        const changes = []
        for await (const key of index.keys(range(prefix))) changes.push(await unpin(owner, key.slice(prefix.length)))
        await write(
          changes,
          changes.flatMap(({ operations }) => operations),
          true
        )
        return changes.length
      }),

    touch: (cid) =>
      inTurn(async () => {
        const before = await get(cid)
        if (before === undefined || init.now() - before.usedAtMs < touchIntervalMs) return
        await write([{ cid, before, after: { ...before, usedAtMs: init.now() } }])
      }),

    setSafe: (cid, safe) =>
      inTurn(async () => {
        const before = await get(cid)
        if (before !== undefined) await write([{ cid, before, after: { ...before, safe } }])
      }),

    evict: () =>
      inTurn(async () => {
        const { cachedBytes } = await totals()
        if (cachedBytes <= init.cacheBytesMax) return []
        const changes: (Change & { before: BlockRow })[] = []
        let excess = cachedBytes - init.cacheBytesMax * evictTo
        for await (const key of index.keys(range('use/'))) {
          if (excess <= 0) break
          const cid = key.slice(key.lastIndexOf('/') + 1)
          const before = await get(cid)
          if (before === undefined) continue
          excess -= before.bytes
          changes.push({ cid, before, after: undefined })
        }
        await write(changes)
        return changes.map(({ cid, before }) => ({ cid, bytes: before.bytes }))
      })
  }
}

/** One block's row before and after; undefined is absence. */
interface Change {
  cid: string
  before: BlockRow | undefined
  after: BlockRow | undefined
}

function operationsOf({ cid, before, after }: Change): Operation[] {
  return [
    ...(before === undefined || before.pins > 0 ? [] : [del(useKey(cid, before))]),
    ...(after === undefined || after.pins > 0 ? [] : [put(useKey(cid, after), 1)]),
    after === undefined ? del(`block/${cid}`) : put(`block/${cid}`, after)
  ]
}

async function count(index: ImageIndex): Promise<LedgerTotals> {
  const sums = { pinnedBlocks: 0, pinnedBytes: 0, cachedBlocks: 0, cachedBytes: 0 }
  for await (const row of index.values(range('block/'))) addTo(sums, row as BlockRow, 1)
  return sums
}

function addTo(sums: LedgerTotals, row: BlockRow | undefined, sign: 1 | -1): void {
  if (row === undefined) return
  const kind = row.pins > 0 ? 'pinned' : 'cached'
  sums[`${kind}Blocks`] += sign
  sums[`${kind}Bytes`] += sign * row.bytes
}

function pinnedBytesOf(row: BlockRow | undefined): number {
  return row === undefined || row.pins === 0 ? 0 : row.bytes
}

/** `sync` is classic-level's own option: levels without a disk pass over it. */
function durably(sync: boolean): object {
  return { sync }
}

function assertOwner(owner: string): void {
  if (owner.length > 0 && owner.length <= ownerCharactersMax && owner.isWellFormed()) return
  throw new ImagesError('bad-owner', `An owner's name has 1 to ${ownerCharactersMax} characters`)
}

/** All keys under a prefix that ends in a slash. */
function range(prefix: string): { gte: string; lt: string } {
  // '0' follows '/'.
  return { gte: prefix, lt: `${prefix.slice(0, -1)}0` }
}

function useKey(cid: string, row: BlockRow): string {
  return `use/${String(row.usedAtMs).padStart(15, '0')}/${cid}`
}

function pinKey(cid: string, owner: string): string {
  return `pin/${cid}/${encodeURIComponent(owner)}`
}

function ownKey(owner: string, cid: string): string {
  return `own/${encodeURIComponent(owner)}/${cid}`
}

function put(key: string, value: unknown): Operation {
  return { type: 'put', key, value }
}

function del(key: string): Operation {
  return { type: 'del', key }
}
