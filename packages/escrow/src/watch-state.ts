import type { ContractLog } from './chain-log.ts'
import { ringBlocks } from './limits.ts'
import type { Hex } from './order.ts'
import { readAll, type EscrowStore, type StoreOperation } from './store.ts'

/** How far the watcher has come. */
export interface Cursor {
  /** All logs up to this block are applied. */
  number: number
  /** All logs up to this block are final. */
  final: number
}

export interface KnownBlock {
  number: number
  hash: Hex
}

export interface KnownLog extends ContractLog {
  final: boolean
}

/**
 * What the watcher keeps, all under `watch!`: `cursor`, `ring!<number>` (block hashes), `log!<number>!<index>` (facts
 * that a reorganisation could undo), `follow!<id>` (whether the past of an order has been read).
 */
export interface WatchState {
  cursor(): Promise<Cursor | undefined>
  /** Newest first. */
  ring(): Promise<KnownBlock[]>
  /** In chain order. */
  logs(): Promise<KnownLog[]>
  follows(): Promise<{ id: Hex; isRead: boolean }[]>
  commit(operations: StoreOperation[]): Promise<void>
}

export function openWatchState(store: EscrowStore): WatchState {
  return {
    cursor: async () => (await store.get(cursorKey)) as Cursor | undefined,
    ring: async () => (await readAll<KnownBlock>(store, ringPrefix)).toReversed(),
    logs: () => readAll<KnownLog>(store, logPrefix),
    follows: () => readAll<{ id: Hex; isRead: boolean }>(store, followPrefix),
    commit: (operations) => store.batch(operations, { sync: true })
  }
}

export function putCursor(cursor: Cursor): StoreOperation {
  return { type: 'put', key: cursorKey, value: cursor }
}

export function putLog(log: KnownLog): StoreOperation {
  return { type: 'put', key: logKey(log), value: log }
}

export function deleteLog(log: ContractLog): StoreOperation {
  return { type: 'del', key: logKey(log) }
}

export function putFollow(id: Hex, { isRead }: { isRead: boolean }): StoreOperation {
  return { type: 'put', key: `${followPrefix}${id}`, value: { id, isRead } }
}

/** Forgets blocks above `base`, learns `blocks`, and keeps the newest {@link ringBlocks}. */
export function updateRing(
  ring: KnownBlock[],
  { base, blocks }: { base: number; blocks: KnownBlock[] }
): StoreOperation[] {
  const kept = [...ring.filter(({ number }) => number <= base), ...blocks].toSorted((a, b) => b.number - a.number)
  const oldest = kept[ringBlocks - 1]?.number ?? 0
  const gone = [...ring, ...blocks].filter(
    ({ number }) => number < oldest || (number > base && !isAmong(number, blocks))
  )
  return [
    ...gone.map(({ number }) => ({ type: 'del', key: ringKey(number) }) as const),
    ...blocks
      .filter(({ number }) => number >= oldest)
      .map(({ number, hash }) => ({ type: 'put', key: ringKey(number), value: { number, hash } }) as const)
  ]
}

const cursorKey = 'watch!cursor'
const ringPrefix = 'watch!ring!'
const logPrefix = 'watch!log!'
const followPrefix = 'watch!follow!'

function isAmong(number: number, blocks: KnownBlock[]): boolean {
  return blocks.some((block) => block.number === number)
}

function ringKey(number: number): string {
  return `${ringPrefix}${padded(number)}`
}

function logKey({ blockNumber, logIndex }: ContractLog): string {
  return `${logPrefix}${padded(blockNumber)}!${padded(logIndex)}`
}

/** Keys sort as text; fifteen digits hold every safe block number. */
function padded(value: number): string {
  return value.toString().padStart(15, '0')
}
