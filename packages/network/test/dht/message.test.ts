import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Answer, decodeQuestion, encodeAnswer, encodePeer, type NamedPeer } from '../../src/dht/message.ts'
import { ProtocolError } from '../../src/protocol-error.ts'

/** kad-dht's own codec, which it does not export. */
interface KadCodec {
  encode(message: object): Uint8Array
  decode(bytes: Uint8Array): Answer & { readonly closer: NamedPeer[]; readonly providers: NamedPeer[] }
}

const { Message } = (await import(
  new URL('message/dht.js', import.meta.resolve('@libp2p/kad-dht')).href
)) as unknown as { Message: KadCodec }

const types = ['PUT_VALUE', 'GET_VALUE', 'ADD_PROVIDER', 'GET_PROVIDERS', 'FIND_NODE', 'PING'] as const
/** Lengths of one byte, of two and of three. */
const someBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.integer({ min: 16_380, max: 16_390 }).map((length) => new Uint8Array(length).fill(7))
)
const peer = fc.record({
  id: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  multiaddrs: fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 })
})
const optional = { key: someBytes, record: someBytes }
const question = fc.record({ type: fc.constantFrom(...types), ...optional }, { requiredKeys: ['type'] })
const answer = fc.record(
  { type: fc.constantFrom(...types), ...optional, closer: fc.array(peer), providers: fc.array(peer) },
  { requiredKeys: ['type'] }
)
/** As kad-dht's side may send it, with what nobody here listens to. */
const sent = fc.record(
  {
    type: fc.constantFrom(...types),
    ...optional,
    clusterLevel: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    closer: fc.array(peer),
    providers: fc.array(peer)
  },
  { requiredKeys: ['type', 'closer', 'providers'] }
)

function tryDecode(bytes: Uint8Array): unknown {
  try {
    return decodeQuestion(bytes)
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'malformed') return error.code
    throw error
  }
}

describe('a question', () => {
  it('is read as kad-dht writes it', () => {
    fc.assert(
      fc.property(sent, (message) => {
        const { type, key, record } = message
        expect(decodeQuestion(Message.encode(message))).toEqual({
          type,
          ...(key && { key }),
          ...(record && { record })
        })
      })
    )
  })

  it('is malformed or read, whatever comes, and has nothing in it that did not come', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      // One that was one, cut and changed.
      fc
        .tuple(sent, fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }))
        .map(([message, length, changes]) => {
          const whole = new Uint8Array(Message.encode(message))
          for (const [at, byte] of changes) whole[at % Math.max(1, whole.length)] = byte
          return whole.subarray(0, whole.length - (length % 5))
        })
    )
    fc.assert(
      fc.property(bytes, (hostile) => {
        const read = tryDecode(hostile)
        if (read === 'malformed') return
        const { type, key = new Uint8Array(), record = new Uint8Array() } = read as Answer
        expect(types).toContain(type)
        for (const part of [key, record]) expect(Buffer.from(hostile).includes(Buffer.from(part))).toBe(true)
      }),
      { numRuns: 2000 }
    )
  })

  it.each([
    ['a type that there is not', [0x08, 6]],
    ['a number that does not end', [0x08, ...Array<number>(11).fill(0x80)]],
    ['a number that is cut off', [0x08, 0x84]],
    ['a key longer than what is there', [0x12, 3, 1, 2]],
    ['a key of a length beyond all', [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['an unknown field that is cut off', [0x79, 1, 2, 3]],
    ['a group', [0x7b, 0x7c]],
    ['a field zero', [0x02, 0]]
  ])('is malformed with %s', (_, bytes) => {
    expect(() => decodeQuestion(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  it('is a put when it does not say what it is, and has the last of what comes twice', () => {
    expect(decodeQuestion(new Uint8Array())).toEqual({ type: 'PUT_VALUE' })
    expect(decodeQuestion(Uint8Array.of(0x12, 1, 7, 0x12, 1, 8, 0x7d, 1, 2, 3, 4))).toEqual({
      type: 'PUT_VALUE',
      key: Uint8Array.of(8)
    })
  })
})

describe('an answer', () => {
  it('is written as kad-dht writes it, also with peers that were written before', () => {
    fc.assert(
      fc.property(answer, (message) => {
        const theirs = new Uint8Array(Message.encode({ closer: [], providers: [], ...message }))
        expect(encodeAnswer(message)).toEqual(theirs)
        expect(encodeAnswer({ ...message, ...(message.closer && { closer: message.closer.map(encodePeer) }) })).toEqual(
          theirs
        )
      })
    )
  })

  it('without peers is a question that is read as it was written', () => {
    fc.assert(
      fc.property(question, (message) => {
        expect(decodeQuestion(encodeAnswer(message))).toEqual(message)
      })
    )
  })
})
