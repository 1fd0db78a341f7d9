import { bytesIn, type Part, writeParts } from './keys.ts'
import type { RowOp, Table } from './tables.ts'

/**
 * The rows of one batch, in one piece of memory. A listing makes a dozen: as arrays of their own, keys without and with
 * their prefix, values and parts of both would be forty, and each above 64 bytes has memory outside of the heap, which
 * is allocated, watched by the collector and freed one by one.
 */
export class Rows {
  #bytes: Uint8Array
  #used = 0
  readonly #tables: Table[] = []
  /** For each row where its key ends, and where its value does; {@link noValue} for what is taken out. */
  readonly #ends: number[] = []

  /** @param bytesExpected - Of all keys and values; more is taken when they are more. */
  constructor(bytesExpected: number) {
    this.#bytes = new Uint8Array(bytesExpected)
  }

  get isEmpty(): boolean {
    return this.#tables.length === 0
  }

  put(table: Table, key: readonly Part[], value: readonly Part[]): void {
    this.#writeKey(table, key)
    this.#write(value)
    this.#ends.push(this.#used)
  }

  del(table: Table, key: readonly Part[]): void {
    this.#writeKey(table, key)
    this.#ends.push(noValue)
  }

  /** What the batch does, in order. */
  ops(): RowOp[] {
    let at = 0
    return this.#tables.map((table, index): RowOp => {
      const keyEnd = this.#ends[2 * index] ?? 0
      const valueEnd = this.#ends[2 * index + 1] ?? noValue
      const key = this.#bytes.subarray(at, keyEnd)
      at = valueEnd === noValue ? keyEnd : valueEnd
      return valueEnd === noValue
        ? { type: 'del', table, key, keyEncoding: 'view' }
        : {
            type: 'put',
            table,
            key,
            keyEncoding: 'view',
            value: this.#bytes.subarray(keyEnd, at),
            valueEncoding: 'view'
          }
    })
  }

  #writeKey(table: Table, key: readonly Part[]): void {
    this.#write([table.prefix, ...key])
    this.#tables.push(table)
    this.#ends.push(this.#used)
  }

  #write(parts: readonly Part[]): void {
    const length = bytesIn(parts)
    if (this.#used + length > this.#bytes.length) this.#grow(this.#used + length)
    this.#used = writeParts(this.#bytes, this.#used, parts)
  }

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
    bytes.set(this.#bytes)
    this.#bytes = bytes
  }
}

const noValue = -1
