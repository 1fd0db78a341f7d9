import { Filter } from './filter.ts'
import { mapKey } from './keys.ts'
import { countsKeptMax, namesGrowth, namesMin, scanRows } from './limits.ts'
import { scan, type Table, type Tables } from './tables.ts'

/** Records of one kind that count against their author. */
export interface Counts {
  readonly live: number
  readonly slots: number
}

/** What a batch writes that is remembered, by map keys. */
export interface Remembered {
  readonly slots: Iterable<string>
  readonly stale: Iterable<string>
  readonly counts: ReadonlyMap<string, Counts>
}

/**
 * What a store knows without reading: that a slot is new, that an id was never superseded, and how much an author has.
 * It saves nearly every record three reads, of which each wakes a thread and waits for it, and hardly one finds anything.
 *
 * Only what is written through it may write these tables.
 */
export interface Memory {
  /** False when there is certainly nothing in this slot. */
  mayHoldSlot(name: string): boolean
  /** False when this digest is certainly not remembered as stale. */
  mayBeStale(name: string): boolean
  counts(name: string): Counts | undefined
  /** A batch is about to be written. It may be on the disk even when that fails. */
  writing(batch: Remembered): void
  /** It has been. */
  written(batch: Pick<Remembered, 'counts'>): void
  /** Counts that were read. */
  learn(name: string, counts: Counts): void
}

/** Knows nothing at first, and learns what there is while the store is used already. */
export function createMemory(tables: Pick<Tables, 'slots' | 'stale'>): Memory {
  const slots = new Names(tables.slots)
  const stale = new Names(tables.stale)
  const counts = new Map<string, Counts>()

  const learn = (name: string, known: Counts): void => {
    counts.delete(name)
    counts.set(name, known)
    const [oldest] = counts.keys()
    if (counts.size > countsKeptMax && oldest !== undefined) counts.delete(oldest)
  }
  return {
    mayHoldSlot: (name) => slots.mayHold(name),
    mayBeStale: (name) => stale.mayHold(name),
    counts: (name) => counts.get(name),
    learn,
    writing(batch) {
      for (const name of batch.slots) slots.add(name)
      for (const name of batch.stale) stale.add(name)
      for (const name of batch.counts.keys()) counts.delete(name)
    },
    written(batch) {
      for (const [name, known] of batch.counts) learn(name, known)
    }
  }
}

/** The keys of a table, as far as a {@link Filter} tells them apart. */
class Names {
  readonly #table: Table
  /** The one that knows all that there are, and the one that is being filled. */
  #whole: Filter | undefined
  #filling: Filter | undefined

  constructor(table: Table) {
    this.#table = table
    void this.#fill(namesMin)
  }

  add(name: string): void {
    this.#whole?.add(name)
    this.#filling?.add(name)
    const { added, namesMax } = this.#whole ?? { added: 0, namesMax: 0 }
    // What was taken out of the table since is in it still: made anew, it may well be no larger.
    if (added > namesMax && this.#filling === undefined) void this.#fill(namesMax)
  }

  mayHold(name: string): boolean {
    return this.#whole?.mayHold(name) ?? true
  }

  /** What is written meanwhile is added by who writes it. Where the table cannot be read, nothing is certain. */
  async #fill(namesMax: number): Promise<void> {
    const filling = new Filter(namesMax)
    this.#filling = filling
    const isRead = await this.#readInto(filling).catch(() => false)
    this.#filling = undefined
    this.#whole = isRead ? filling : undefined
    if (isRead && 2 * filling.added > namesMax) await this.#fill(namesGrowth * filling.added)
  }

  async #readInto(filter: Filter): Promise<boolean> {
    for await (const rows of scan(this.#table.iterator({ values: false }), scanRows)) {
      for (const [key] of rows) filter.add(mapKey(key))
    }
    return true
  }
}
