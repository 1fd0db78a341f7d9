import { bytesAt, keyOf, numberAt } from './keys.ts'
import { scanRows } from './limits.ts'
import { scan, type StorageOp, type Table } from './tables.ts'

/** A change that is to be written, and what to do in memory once it is durable. */
export interface Pending {
  readonly ops: readonly StorageOp[]
  readonly written: () => void
}

interface Row<Header> {
  readonly place: number
  readonly header: Header
}

/**
 * Messages in the order in which they were put: their headers in memory, their bytes on disk only. A header can
 * change without its bytes being written again.
 */
export class Shelf<Header extends { readonly id: string }> {
  readonly #table: Table
  /** By id, in the order of their places. */
  readonly #rows = new Map<string, Row<Header>>()
  #nextPlace = 0

  private constructor(table: Table) {
    this.#table = table
  }

  static async open<Header extends { readonly id: string }>(table: Table): Promise<Shelf<Header>> {
    const shelf = new Shelf<Header>(table)
    for await (const rows of scan(table.iterator({ lt: bytesPrefix }), scanRows)) {
      for (const [key, value] of rows) shelf.#take(numberAt(key, 1), decodeHeader(value) as Header)
    }
    return shelf
  }

  get size(): number {
    return this.#rows.size
  }

  headers(): Header[] {
    return [...this.#rows.values()].map(({ header }) => header)
  }

  header(id: string): Header | undefined {
    return this.#rows.get(id)?.header
  }

  async bytes(id: string): Promise<Uint8Array | undefined> {
    const row = this.#rows.get(id)
    const bytes = row === undefined ? undefined : await this.#table.get(bytesKey(row.place))
    return bytes === undefined ? undefined : bytesAt(bytes, 0)
  }

  add(header: Header, bytes: Uint8Array): Pending {
    const place = this.#nextPlace++
    return {
      ops: [this.#putHeader(place, header), { type: 'put', sublevel: this.#table, key: bytesKey(place), value: bytes }],
      written: () => this.#take(place, header)
    }
  }

  change(header: Header): Pending {
    const row = this.#rows.get(header.id)
    if (row === undefined) return { ops: [], written: () => undefined }
    return {
      ops: [this.#putHeader(row.place, header)],
      written: () => {
        if (this.#rows.has(header.id)) this.#rows.set(header.id, { place: row.place, header })
      }
    }
  }

  remove(id: string): Pending {
    const row = this.#rows.get(id)
    if (row === undefined) return { ops: [], written: () => undefined }
    const keys = [headerKey(row.place), bytesKey(row.place)]
    return {
      ops: keys.map((key) => ({ type: 'del', sublevel: this.#table, key })),
      written: () => void this.#rows.delete(id)
    }
  }

  #take(place: number, header: Header): void {
    this.#rows.set(header.id, { place, header })
    this.#nextPlace = Math.max(this.#nextPlace, place + 1)
  }

  #putHeader(place: number, header: Header): StorageOp {
    const value = keyOf(JSON.stringify(header))
    return { type: 'put', sublevel: this.#table, key: headerKey(place), value }
  }
}

const bytesPrefix = Uint8Array.of(1)

function headerKey(place: number): Uint8Array {
  return keyOf(Uint8Array.of(0), place)
}

function bytesKey(place: number): Uint8Array {
  return keyOf(bytesPrefix, place)
}

function decodeHeader(value: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(value)) as unknown
}
