/**
 * The messages of the DHT as they travel (libp2p's specification of kad-dht, protocol buffers), as far as whoever is
 * asked has to do with them. kad-dht has a codec, and keeps it to itself.
 */
import type { PeerId } from '@libp2p/interface'
import { ProtocolError } from '../protocol-error.ts'

/** By the numbers that they have on the wire. */
const types = ['PUT_VALUE', 'GET_VALUE', 'ADD_PROVIDER', 'GET_PROVIDERS', 'FIND_NODE', 'PING'] as const

export type MessageType = (typeof types)[number]

/** As decoded: of the right types, and otherwise unchecked. Peers in it say nothing that anybody here would listen to. */
export interface Question {
  readonly type: MessageType
  readonly key?: Uint8Array
  readonly record?: Uint8Array
}

/** What is said to a {@link Question}. */
export interface Answer extends Question {
  /** Of those nearest to a key. */
  readonly closer?: readonly (NamedPeer | EncodedPeer)[]
  readonly providers?: readonly NamedPeer[]
}

/** Finds the answer to a peer's question; undefined when there is nothing to say. */
export type HandleQuestion = (peer: PeerId, question: Question) => Promise<Answer | undefined>

/** A peer, and where it is: a multihash, and multiaddrs, in bytes. */
export interface NamedPeer {
  readonly id: Uint8Array
  readonly multiaddrs: readonly Uint8Array[]
}

/** A {@link NamedPeer} as it travels, by {@link encodePeer}. */
export type EncodedPeer = Uint8Array

/**
 * Parts of the bytes are not copied. Fields that are not known, or that nobody listens to, are passed by; of one that comes
 * twice the last counts.
 *
 * @throws {@link ProtocolError} `malformed`.
 */
export function decodeQuestion(bytes: Uint8Array): Question {
  const reader = new Reader(bytes)
  let [type, key, record]: [number, Uint8Array | undefined, Uint8Array | undefined] = [0, undefined, undefined]
  while (!reader.isAtEnd) {
    const tag = reader.varint()
    if (tag === tags.type) type = reader.varint()
    else if (tag === tags.key) key = reader.bytes()
    else if (tag === tags.record) record = reader.bytes()
    else reader.skip(tag)
  }
  const name = types[type]
  if (name === undefined) throw new ProtocolError('malformed', `there are ${types.length} kinds of messages`)
  return { type: name, ...(key && { key }), ...(record && { record }) }
}

export function encodeAnswer({ type, key, record, closer = [], providers = [] }: Answer): Uint8Array {
  const fields: Field[] = [
    ...(key === undefined ? [] : [{ tag: tags.key, bytes: key }]),
    ...(record === undefined ? [] : [{ tag: tags.record, bytes: record }])
  ]
  for (const peer of closer) {
    fields.push({ tag: tags.closer, bytes: peer instanceof Uint8Array ? peer : encodePeer(peer) })
  }
  for (const peer of providers) fields.push({ tag: tags.providers, bytes: encodePeer(peer) })
  const number = types.indexOf(type)
  // What is zero is left out, as kad-dht has it.
  return encodeFields(fields, number === 0 ? [] : [tags.type, number])
}

export function encodePeer({ id, multiaddrs }: NamedPeer): EncodedPeer {
  return encodeFields([
    { tag: peerTags.id, bytes: id },
    ...multiaddrs.map((bytes) => ({ tag: peerTags.multiaddrs, bytes }))
  ])
}

/** Bytes with their number and length before them. */
interface Field {
  readonly tag: number
  readonly bytes: Uint8Array
}

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

const tags = {
  type: (1 << 3) | wire.varint,
  key: (2 << 3) | wire.bytes,
  record: (3 << 3) | wire.bytes,
  closer: (8 << 3) | wire.bytes,
  providers: (9 << 3) | wire.bytes
} as const

const peerTags = { id: (1 << 3) | wire.bytes, multiaddrs: (2 << 3) | wire.bytes } as const

/** @param head - Stands before the fields. */
function encodeFields(fields: readonly Field[], head: readonly number[] = []): Uint8Array {
  let length = head.length
  for (const { bytes } of fields) length += 1 + varintBytes(bytes.length) + bytes.length
  const encoded = new Uint8Array(length)
  encoded.set(head)
  let at = head.length
  for (const { tag, bytes } of fields) {
    encoded[at++] = tag
    for (let rest = bytes.length; ; rest >>>= 7) {
      encoded[at++] = rest < 0x80 ? rest : (rest & 0x7f) | 0x80
      if (rest < 0x80) break
    }
    encoded.set(bytes, at)
    at += bytes.length
  }
  return encoded
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest >>>= 7) bytes++
  return bytes
}

/** Reads fields one after the other; throws {@link ProtocolError} `malformed` at the first that is none. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** Exact up to 2^53; a negative one, in ten bytes, is nothing that would be looked for here. */
  varint(): number {
    let value = 0
    for (let read = 0; read < varintBytesMax; read++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw malformed()
      value += (byte & 0x7f) * 128 ** read
      if (byte < 0x80) return value
    }
    throw malformed()
  }

  bytes(): Uint8Array {
    const length = this.varint()
    return this.#bytes.subarray(this.#at, this.#pass(length))
  }

  skip(tag: number): void {
    if (tag < minTag) throw malformed()
    switch (tag % 8) {
      case wire.varint:
        this.varint()
        return
      case wire.fixed64:
        this.#pass(8)
        return
      case wire.bytes:
        this.#pass(this.varint())
        return
      case wire.fixed32:
        this.#pass(4)
        return
      default:
        // Groups have gone out of use before this protocol began.
        throw malformed()
    }
  }

  /** @returns Where that ends. */
  #pass(bytes: number): number {
    if (bytes > this.#bytes.length - this.#at) throw malformed()
    return (this.#at += bytes)
  }
}

const varintBytesMax = 10

/** Fields are counted from one. */
const minTag = 8

function malformed(): ProtocolError {
  return new ProtocolError('malformed', 'a message of the DHT is one of protocol buffers')
}
