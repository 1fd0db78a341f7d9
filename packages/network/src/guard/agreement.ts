import { negotiationBytesMax, negotiationMessagesMax } from './limits.ts'

/** What is to be done after what the other side has said. */
export interface Step {
  /** To be sent, when there is anything. */
  readonly reply: Uint8Array | undefined
  /**
   * `agreed` on a protocol, and what follows is for that; `bad` for lengths, lines without an end, or as many proposals, as
   * nobody sends who wants to agree.
   */
  readonly state: 'waiting' | 'agreed' | 'bad'
}

/**
 * The answering side of multistream-select 1.0.0, for one stream, on bytes alone. libp2p's makes promises, events, lists of
 * bytes and an error for what is ordinary with each byte of a length, and sends each line by itself; what one stream costs
 * is a good part of what it costs to answer a short question. Says what libp2p's says: a test holds the two side by side.
 */
export class Agreement {
  readonly #protocols: () => ReadonlySet<string>
  #rest: Uint8Array = new Uint8Array()
  #messages = 0
  #protocol = ''

  /** @param protocols - Those spoken here, in the order in which they are listed to whoever asks. */
  constructor(protocols: () => ReadonlySet<string>) {
    this.#protocols = protocols
  }

  /** Agreed on; empty before. */
  get protocol(): string {
    return this.#protocol
  }

  /** What came after the last message that was looked at: after the agreement, the protocol's. */
  get rest(): Uint8Array {
    return this.#rest
  }

  take(data: Uint8Array): Step {
    const bytes = this.#rest.length === 0 ? data : joined([this.#rest, data])
    const replies: Uint8Array[] = []
    let state: Step['state'] = 'waiting'
    let at = 0
    while (state === 'waiting') {
      const head = readLength(bytes, at)
      if (head === 'bad' || (head !== undefined && head.length > negotiationBytesMax)) state = 'bad'
      else if (head === undefined || head.end + head.length > bytes.length) break
      else {
        at = head.end + head.length
        state = this.#answer(bytes.subarray(head.end, at), replies)
      }
    }
    // What is waited for with is little; a part of what was read would hold all of that in memory.
    this.#rest = state === 'waiting' ? new Uint8Array(bytes.subarray(at)) : bytes.subarray(at)
    return { reply: replies.length === 0 ? undefined : joined(replies), state }
  }

  #answer(message: Uint8Array, replies: Uint8Array[]): Step['state'] {
    if (++this.#messages > negotiationMessagesMax) return 'bad'
    if (message.at(-1) !== newLine) return 'bad'
    const word = utf8.decode(message).trimEnd()
    const protocols = this.#protocols()
    if (word === multistream) replies.push(line(word))
    else if (protocols.has(word)) {
      replies.push(line(word))
      this.#protocol = word
      return 'agreed'
    } else if (word === 'ls') replies.push(framed(joined([...Array.from(protocols, line), Uint8Array.of(newLine)])))
    else replies.push(line('na'))
    return 'waiting'
  }
}

const multistream = '/multistream/1.0.0'
const newLine = 0x0a
const utf8 = new TextDecoder()

/** As many bytes as the length of a message of {@link negotiationBytesMax} takes. */
const lengthBytesMax = 2

/** Undefined when there is more to come of it. */
function readLength(bytes: Uint8Array, at: number): { length: number; end: number } | 'bad' | undefined {
  let length = 0
  for (let read = 0; read < lengthBytesMax; read++) {
    const byte = bytes[at + read]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) << (7 * read)
    if (byte < 0x80) return { length, end: at + read + 1 }
  }
  return 'bad'
}

function line(word: string): Uint8Array {
  return framed(new TextEncoder().encode(`${word}\n`))
}

/** With its length before it, an unsigned varint. */
function framed(message: Uint8Array): Uint8Array {
  const length: number[] = []
  for (let rest = message.length; rest > 0; rest >>>= 7) length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
  return joined([Uint8Array.from(length), message])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
