import type { Channel } from '@souk/records'
import type { Disk } from './disk.ts'
import { bytesAt, keyOf, numberAt, textAt } from './keys.ts'
import { pageMax, sequencesReserved } from './limits.ts'
import type { Tables } from './tables.ts'

/** One entry of the change log. Entries of records that have gone are gone too; their removals stay for a while. */
export interface Change {
  readonly sequence: number
  readonly type: 'stored' | 'removed'
  /** 32 bytes. */
  readonly digest: Uint8Array
  readonly market: string
  readonly channel: Channel
}

/** The numbers that changes get: ascending, with gaps, never used twice. */
export interface Sequences {
  /** Of the last change that was written. */
  readonly last: number
  next(): number
  /** To be awaited before the numbers handed out are written. */
  reserve(): Promise<void>
  written(sequence: number): void
}

/**
 * Continues above every number that may have been used before: a power cut can take the log's tail, and a peer that
 * had seen a lost number must not skip a new record that gets the same one. So numbers are reserved in large steps by
 * a write that is on disk before the first of them is.
 */
export async function openSequences(tables: Tables, disk: Disk): Promise<Sequences> {
  const reserved = ((await tables.meta.get('reserved')) as number | undefined) ?? 0
  const newest = await tables.log.keys({ reverse: true, limit: 1 }).next()
  return new ReservedSequences({ tables, disk }, { last: newest === undefined ? 0 : numberAt(newest, 0), reserved })
}

class ReservedSequences implements Sequences {
  readonly #tables: Tables
  readonly #disk: Disk
  #last: number
  #handedOut: number
  #reserved: number

  constructor(to: { tables: Tables; disk: Disk }, { last, reserved }: { last: number; reserved: number }) {
    this.#tables = to.tables
    this.#disk = to.disk
    this.#last = last
    this.#handedOut = reserved
    this.#reserved = reserved
  }

  get last(): number {
    return this.#last
  }

  next(): number {
    return ++this.#handedOut
  }

  async reserve(): Promise<void> {
    if (this.#handedOut <= this.#reserved) return
    const reserved = this.#handedOut + sequencesReserved
    const sublevel = this.#tables.meta
    await this.#disk.commit([{ type: 'put', sublevel, key: 'reserved', value: reserved }], { sync: true })
    this.#reserved = reserved
  }

  written(sequence: number): void {
    this.#last = Math.max(this.#last, sequence)
  }
}

export function decodeChange(key: Uint8Array, value: Uint8Array): Change {
  const marketEnd = value.indexOf(0, 33)
  return {
    sequence: numberAt(key, 0),
    type: value[0] === removedMark ? 'removed' : 'stored',
    digest: bytesAt(value, 1, 33),
    market: textAt(value, 33, marketEnd),
    channel: textAt(value, marketEnd + 1) as Channel
  }
}

const removedMark = '-'.charCodeAt(0)

/** Changes after a sequence number, oldest first, at most {@link pageMax}. */
export async function readChanges(tables: Tables, after: number, limit: number): Promise<Change[]> {
  const rows = await tables.log.iterator({ gt: keyOf(after), limit: Math.min(limit, pageMax) }).all()
  return rows.map(([key, value]) => decodeChange(key, value))
}
