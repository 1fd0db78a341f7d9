import { lengthBytesMax, negotiationBytesMax, negotiationMessagesMax, unboundedMessageBytesMax } from './limits.ts'

/** What a framing lets through. */
export interface FramingInit {
  /** Bytes of one message. */
  readonly bytesMax: number
  /** Messages from the start; what follows them is not framed. */
  readonly messages?: number
  /** Messages until {@link FramingInit.isLast}; one more is too many. */
  readonly messagesMax?: number
  /** Looks at each message, for the one after which what follows is not framed. */
  readonly isLast?: (message: string) => boolean
}

/**
 * Follows the lengths that stand before messages, an unsigned varint each. libp2p's reader tries the length anew with
 * each byte that comes, throws and catches an error each time, and looks only then whether it is too long: 2.5 MB of
 * 0xff, a length that never ends, took a second and a half in which nobody else was answered.
 */
export class Framing {
  readonly #init: FramingInit
  #messagesLeft: number
  #messagesSeen = 0
  /** Of the message that is under way. */
  #bytesLeft = 0
  #length = 0
  #lengthBytes = 0
  #message = ''

  constructor(init: FramingInit) {
    this.#init = init
    this.#messagesLeft = init.messages ?? Infinity
  }

  /** True when nothing more is looked at. */
  get isOver(): boolean {
    return this.#messagesLeft === 0 && this.#bytesLeft === 0
  }

  /** @returns False when a length is one that no message has. */
  take(chunk: Uint8Array): boolean {
    for (let at = 0; at < chunk.length && !this.isOver;) {
      if (this.#bytesLeft > 0) at += this.#takeMessage(chunk.subarray(at, at + this.#bytesLeft))
      else if (!this.#takeLength(chunk[at++] ?? 0)) return false
    }
    return true
  }

  /** @returns How many bytes there were. */
  #takeMessage(part: Uint8Array): number {
    const { isLast } = this.#init
    this.#bytesLeft -= part.length
    if (isLast === undefined) return part.length
    this.#message += String.fromCharCode(...part)
    if (this.#bytesLeft > 0) return part.length
    if (isLast(this.#message)) this.#messagesLeft = 0
    this.#message = ''
    return part.length
  }

  #takeLength(byte: number): boolean {
    const { bytesMax, messagesMax = Infinity } = this.#init
    if (this.#messagesSeen >= messagesMax) return false
    this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes++
    if (this.#length > bytesMax) return false
    if (byte >= 0x80) return this.#lengthBytes < lengthBytesMax
    this.#bytesLeft = this.#length
    this.#length = this.#lengthBytes = 0
    this.#messagesLeft--
    this.#messagesSeen++
    return true
  }
}

/** The framing to follow on a stream of a protocol; undefined for those that have none, and for what is not known here. */
export function framingOf(protocol: string): Framing | undefined {
  const init = framed[protocol]
  return init && new Framing(init)
}

/** The framing of multistream-select, until the two sides have agreed on something. */
export function negotiation(isAgreed: (protocol: string) => boolean): Framing {
  return new Framing({
    bytesMax: negotiationBytesMax,
    messagesMax: negotiationMessagesMax,
    isLast: (message) => isAgreed(message.trimEnd())
  })
}

/** Bounded by its reader, once the length is one. */
const own: FramingInit = { bytesMax: Infinity }
/** libp2p's readers of these have no bound. */
const unbounded: FramingInit = { bytesMax: unboundedMessageBytesMax }

const framed: Readonly<Record<string, FramingInit>> = {
  // A request, or its answer, and then what is relayed.
  '/libp2p/circuit/relay/0.2.0/hop': { ...unbounded, messages: 1 },
  '/libp2p/circuit/relay/0.2.0/stop': { ...unbounded, messages: 1 },
  '/libp2p/autonat/2/dial-request': unbounded,
  '/libp2p/autonat/2/dial-back': unbounded,
  '/libp2p/dcutr': unbounded,
  '/ipfs/id/1.0.0': unbounded,
  '/ipfs/id/push/1.0.0': unbounded,
  '/souk/kad/1.0.0': unbounded,
  '/souk/sync/1': own,
  '/souk/located-set/1': own,
  '/souk/mailbox/1': own,
  '/souk/message/1': own
}
