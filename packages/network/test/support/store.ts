import { type AnyRecord, compareForSlot, recordDigest, type RecordId } from '@souk/records'
import type { PutOutcome, RecordStore } from '../../src/gate.ts'

/** A store in memory that keeps one record a slot, as `@souk/storage` does on disk. */
export class TestStore implements RecordStore {
  readonly records = new Map<RecordId, AnyRecord>()
  readonly #slots = new Map<string, AnyRecord>()
  readonly #waiting = new Set<() => void>()

  put(records: readonly AnyRecord[]): Promise<PutOutcome[]> {
    const outcomes = records.map((record) => this.#putOne(record))
    for (const check of this.#waiting) check()
    return Promise.resolve(outcomes)
  }

  has(record: Pick<AnyRecord, 'id'>): boolean {
    return this.records.has(record.id)
  }

  /** Resolves once the store satisfies the condition. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = (): void => {
      if (condition()) resolve()
    }
    this.#waiting.add(check)
    await promise
    this.#waiting.delete(check)
  }

  protected removed(_record: AnyRecord): void {}

  protected added(_record: AnyRecord): void {}

  #putOne(record: AnyRecord): PutOutcome {
    if (this.records.has(record.id)) return 'known'
    const slot = `${Buffer.from(record.author).toString('hex')} ${record.kind} ${record.key}`
    const standing = this.#slots.get(slot)
    if (standing !== undefined && compareForSlot(standing, record) < 0) return 'superseded'
    if (standing !== undefined) {
      this.records.delete(standing.id)
      this.removed(standing)
    }
    this.#slots.set(slot, record)
    this.records.set(record.id, record)
    this.added(record)
    return 'stored'
  }
}

export function digestKey(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}

export function keyOfRecord(record: Pick<AnyRecord, 'id'>): string {
  return digestKey(recordDigest(record.id))
}
