import { SyncError } from './error.ts'

/** Reads the fields of one frame. Nothing is allocated that the frame's own bytes do not pay for. */
export class FrameReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  /** An integer up to 2^53 - 1 in eight bytes. */
  uint53(): number {
    const value = this.#view.getBigUint64(this.#take(8))
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new SyncError('bad-frame', `${value} is above 2^53 - 1`)
    return Number(value)
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** At most 255 printable ASCII characters. */
  text(): string {
    const bytes = this.bytes(this.uint8())
    if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) throw new SyncError('bad-frame', 'a name is ASCII')
    return String.fromCharCode(...bytes)
  }

  rest(): Uint8Array {
    return this.bytes(this.left)
  }

  end(): void {
    if (this.left > 0) throw new SyncError('bad-frame', `${this.left} bytes after the end`)
  }

  #take(length: number): number {
    if (this.left < length) throw new SyncError('bad-frame', `${this.left} bytes left of ${length}`)
    const at = this.#at
    this.#at += length
    return at
  }
}

/** Writes the fields of one frame. */
export class FrameWriter {
  readonly #parts: Uint8Array[] = []

  uint8(value: number): this {
    return this.bytes(Uint8Array.of(value))
  }

  uint16(value: number): this {
    return this.#number(2, (view) => view.setUint16(0, value))
  }

  uint32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, value))
  }

  uint53(value: number): this {
    return this.#number(8, (view) => view.setBigUint64(0, BigInt(value)))
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value)
    return this.uint8(bytes.length).bytes(bytes)
  }

  bytes(value: Uint8Array): this {
    this.#parts.push(value)
    return this
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  #number(length: number, set: (view: DataView) => void): this {
    const bytes = new Uint8Array(length)
    set(new DataView(bytes.buffer))
    return this.bytes(bytes)
  }
}
