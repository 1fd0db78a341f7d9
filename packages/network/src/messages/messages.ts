/**
 * Private messages: sealed, delivered directly, acknowledged when they have been processed and not before. What was
 * not acknowledged is sent again by the caller's outbox; that a message counts once is the receiver's store's business.
 */
import type { AbortOptions, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { x25519 } from '@noble/curves/ed25519.js'
import { type Did, didFromKey, encodeCanonical, keyFromDid, sameBytes, type Signer } from '@souk/records'
import {
  createAsk,
  decodeMap,
  type ExchangeHost,
  expectShape,
  type Guard,
  openGuard,
  serveExchange
} from '../exchange.ts'
import { ProtocolError, type ProtocolErrorCode } from '../protocol-error.ts'
import type { Contacts } from './contacts.ts'
import { readEnvelope, writeEnvelope, writeFirstEnvelope } from './envelope.ts'
import { writeExhibit } from './exhibit.ts'
import { firstContactBits, messageLimits, messagePace } from './limits.ts'
import { seal, type Unsealed, unseal } from './seal.ts'

/** Where messages are delivered. */
export const messageProtocol = '/souk/message/1'

/** A message as its receiver gets it. */
export interface ReceivedMessage {
  readonly from: Did
  readonly messageId: string
  readonly payload: Uint8Array
  /** By the sender's clock. */
  readonly sentAtMs: number
  /** Shows this one letter to an arbitrator: see {@link writeExhibit}. Made when it is asked for. */
  exhibit(): Uint8Array
}

/** Whom a message goes to, and what it says. */
export interface OutgoingMessage {
  readonly to: Did
  /** X25519, of the installation that is to read it: see `devicesOf`. */
  readonly prekey: Uint8Array
  /** The same for every attempt. 1 to 128 visible ASCII characters. */
  readonly messageId: string
  readonly payload: Uint8Array
  /** Proofs of letters that were processed; then the payload is empty. */
  readonly acks?: readonly Uint8Array[]
}

/** A message ready for any way of delivery. */
export interface PreparedMessage {
  readonly envelope: Uint8Array
  /** What an honest acknowledgement holds. */
  readonly proof: Uint8Array
}

/** A letter that has been processed, now or earlier. */
export interface Accepted {
  readonly from: Did
  /** What acknowledges it; undefined for a letter that only acknowledges others. */
  readonly proof: Uint8Array | undefined
}

/** The keys of the identity that writes and is written to. */
export interface MessageKeys {
  readonly signer: Signer
  /** X25519 secret that never changes, 32 bytes: it makes the keys of conversations, and opens nothing. */
  readonly messageKey: Uint8Array
  /** X25519 secrets of the prekey in the profile and of earlier ones still held. */
  prekeySecrets(): Promise<readonly Uint8Array[]>
}

/** The least that messages need. */
export interface MessagesComponents {
  readonly libp2p: ExchangeHost
  readonly keys: MessageKeys
  readonly contacts: Contacts
  readonly guard?: Guard
}

export interface MessagesInit {
  /** Resolves when the message is safe on disk: only then is it acknowledged. Rejecting makes the sender try again. */
  readonly onMessage: (message: ReceivedMessage, options: { signal: AbortSignal }) => Promise<void>
  /** True for a message processed before: it is acknowledged again, and not processed. */
  readonly seen?: (message: { from: Did; messageId: string }) => Promise<boolean>
  /** Proofs that somebody acknowledges. @returns True when one was waited for: a stranger's word changes nothing. */
  readonly onAcks?: (from: Did, proofs: readonly Uint8Array[]) => Promise<boolean>
  /** Somebody writes without work from now on: mailboxes have to hear of it. */
  readonly onContact?: () => void
  /** This identity's newest signed profile, for who writes to a prekey that is gone. */
  readonly profile?: () => Promise<Uint8Array | undefined>
  /** What a recipient says is its profile, unchecked: the prekey that was used is gone there. */
  readonly onProfile?: (record: Uint8Array, from: Did) => void
  readonly now?: () => number
  /** Work that strangers must have done. */
  readonly workBits?: number
}

export interface Messages extends AsyncDisposable {
  /**
   * Delivers to the first of `peers` that acknowledges. Who does not know us (any more) is introduced to us, with work.
   *
   * @param peers - In the order in which they are tried; relayed addresses too.
   * @param options.introduce - Asked before work is done for it; false leaves it at `work-missing`.
   * @throws {@link ProtocolError} of the last attempt: `unreachable`, `timed-out`, `not-processed`, `unknown-prekey`
   * (the newer profile has gone to `onProfile`), `bad-proof` …
   */
  deliver(
    message: PreparedMessage,
    peers: readonly (PeerId | Multiaddr | Multiaddr[])[],
    options?: AbortOptions & { readonly introduce?: () => boolean }
  ): Promise<void>
  /** Seals without sending. */
  prepare(message: OutgoingMessage): Promise<PreparedMessage>
  /** The same box for somebody who does not know us (any more): with work in place of the conversation's key. */
  introduce(message: PreparedMessage): PreparedMessage
  /**
   * Processes an envelope that came by another way, such as a mailbox. May be deleted there when this resolves.
   *
   * @throws {@link ProtocolError} with the code of what is wrong with it; `not-processed` is worth another try.
   */
  accept(envelope: Uint8Array, options?: AbortOptions): Promise<Accepted>
}

export async function createMessages(components: MessagesComponents, init: MessagesInit): Promise<Messages> {
  const { libp2p, keys, contacts, guard = openGuard } = components
  const now = init.now ?? Date.now
  const workBits = init.workBits ?? firstContactBits
  const ask = createAsk(libp2p, { protocol: messageProtocol, limits: messageLimits, pace: messagePace })
  const inHand = new Map<string, Promise<void>>()

  /** Whom it is for and whether it may come in are asked first, then who signed; only then is anything decrypted. */
  async function receive(bytes: Uint8Array, signal: AbortSignal): Promise<Unsealed> {
    const unchecked = readEnvelope(bytes)
    if (!sameBytes(unchecked.to, keys.signer.publicKey)) {
      throw new ProtocolError('wrong-recipient', 'the envelope is for another identity')
    }
    const owner = await contacts.ownerOf(unchecked.by)
    if (owner === undefined && unchecked.workBits < workBits) {
      throw new ProtocolError('work-missing', `a first contact needs ${workBits} bits of work`)
    }
    const { box } = unchecked.check()
    const letter = unseal(box, { recipient: keys.signer.publicKey, secrets: await keys.prekeySecrets() })
    if (owner !== undefined && !sameBytes(owner, letter.from)) {
      throw new ProtocolError('bad-signature', 'the key of one conversation signed the envelope of another')
    }
    await (letter.acks === undefined ? processOnce(letter, signal) : takeAcks(letter, letter.acks))
    return letter
  }

  async function takeAcks({ from, replyKey }: Unsealed, acks: readonly Uint8Array[]): Promise<void> {
    const did = didFromKey(from)
    if (await init.onAcks?.(did, acks)) await learn(did, replyKey)
  }

  async function learn(did: Did, replyKey: Uint8Array): Promise<void> {
    if (await contacts.learn(did, replyKey)) init.onContact?.()
  }

  /** Two deliveries of one message at the same time are one. */
  async function processOnce(letter: Unsealed, signal: AbortSignal): Promise<void> {
    const key = `${didFromKey(letter.from)} ${letter.messageId}`
    const running = inHand.get(key)
    if (running !== undefined) return running
    const work = processLetter(letter, signal).finally(() => inHand.delete(key))
    inHand.set(key, work)
    return work
  }

  async function processLetter(letter: Unsealed, signal: AbortSignal): Promise<void> {
    const { messageId, payload, sentAtMs } = letter
    const from = didFromKey(letter.from)
    const exhibit = (): Uint8Array => writeExhibit(letter.opening, keys.signer.publicKey)
    try {
      if (await init.seen?.({ from, messageId })) return
      await init.onMessage({ from, messageId, payload, sentAtMs, exhibit }, { signal })
      await learn(from, letter.replyKey)
    } catch (cause) {
      throw new ProtocolError('not-processed', `message ${messageId} could not be processed`, { cause })
    }
  }

  async function answer(question: Uint8Array, { signal }: { signal: AbortSignal }): Promise<Uint8Array> {
    try {
      return encodeCanonical({ v: 1, status: 'processed', proof: (await receive(question, signal)).proof })
    } catch (error) {
      if (error instanceof ProtocolError && refusals.has(error.code)) return refusal(error.code)
      throw error
    }
  }

  async function refusal(code: ProtocolErrorCode): Promise<Uint8Array> {
    const profile = code === 'unknown-prekey' ? await init.profile?.() : undefined
    return encodeCanonical({ v: 1, status: 'refused', code, ...(profile && { profile }) })
  }

  async function prepare(message: OutgoingMessage): Promise<PreparedMessage> {
    const to = keyFromDid(message.to)
    const { box, proof } = seal({
      ...message,
      from: keys.signer,
      recipient: to,
      replyKey: x25519.getPublicKey(keys.messageKey),
      sentAtMs: now()
    })
    const by = await contacts.signerFor(message.to)
    return { envelope: by ? writeEnvelope({ to, box, by }) : writeFirstEnvelope({ to, box, bits: workBits }), proof }
  }

  function introduce({ envelope, proof }: PreparedMessage): PreparedMessage {
    const { to, box } = readEnvelope(envelope)
    return { envelope: writeFirstEnvelope({ to, box, bits: workBits }), proof }
  }

  async function sendTo(
    target: PeerId | Multiaddr | Multiaddr[],
    { envelope, proof }: PreparedMessage,
    options: AbortOptions
  ): Promise<void> {
    const answered = decodeAnswer(await ask(target, envelope, options))
    if (answered.status === 'refused') {
      if (answered.profile !== undefined) init.onProfile?.(answered.profile, didFromKey(readEnvelope(envelope).to))
      throw new ProtocolError(answered.code, `the recipient refused the message: ${answered.code}`)
    }
    if (!sameBytes(answered.proof, proof)) {
      throw new ProtocolError('bad-proof', 'acknowledged by somebody who cannot have read it')
    }
  }

  async function sendAny(
    peers: readonly (PeerId | Multiaddr | Multiaddr[])[],
    prepared: PreparedMessage,
    options: AbortOptions
  ): Promise<void> {
    let last = new ProtocolError('unreachable', 'no peer of the recipient is known')
    for (const target of peers) {
      try {
        return await sendTo(target, prepared, options)
      } catch (error) {
        options.signal?.throwIfAborted()
        if (!(error instanceof ProtocolError)) throw error
        last = error
      }
    }
    throw last
  }

  const stopServing = await serveExchange(
    { libp2p, guard },
    { protocol: messageProtocol, limits: messageLimits, answer }
  )

  return {
    prepare,
    introduce,
    async deliver(message, peers, { introduce: mayIntroduce = () => true, ...options } = {}) {
      try {
        await sendAny(peers, message, options)
      } catch (error) {
        // They have forgotten us, or have restored from a phrase alone: introduce ourselves again.
        if (!(error instanceof ProtocolError) || error.code !== 'work-missing' || !mayIntroduce()) throw error
        await sendAny(peers, introduce(message), options)
      }
    },
    async accept(envelope, options = {}) {
      const { from, proof, acks } = await receive(envelope, options.signal ?? new AbortController().signal)
      return { from: didFromKey(from), proof: acks === undefined ? proof : undefined }
    },
    async [Symbol.asyncDispose]() {
      await stopServing()
      await Promise.allSettled(inHand.values())
    }
  }
}

/** What may happen between honest peers, and is answered; all else resets the stream. */
const refusals = new Set<ProtocolErrorCode>(['wrong-recipient', 'work-missing', 'unknown-prekey', 'not-processed'])

type Answer =
  | { readonly status: 'processed'; readonly proof: Uint8Array }
  | { readonly status: 'refused'; readonly code: ProtocolErrorCode; readonly profile: Uint8Array | undefined }

/** @throws {@link ProtocolError} `malformed`. A code that is not known counts as `refused`. */
function decodeAnswer(bytes: Uint8Array): Answer {
  const { v, status, code, proof, profile } = decodeMap(bytes, messageLimits.answerBytesMax)
  expectShape(v === 1, 'version 1 is the only one known')
  if (status === 'refused') {
    expectShape(profile === undefined || profile instanceof Uint8Array, '`profile` is bytes')
    const known = Array.from(refusals).find((each) => each === code) ?? 'refused'
    return { status, code: known, profile: profile && new Uint8Array(profile) }
  }
  expectShape(status === 'processed' && proof instanceof Uint8Array && proof.length === 32, 'an answer has a proof')
  return { status, proof }
}
