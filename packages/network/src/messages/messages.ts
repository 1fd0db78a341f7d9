/**
 * Private messages: sealed, delivered directly, acknowledged when they have been processed and not before. What was
 * not acknowledged is sent again by the caller's outbox; that a message counts once is the receiver's store's business.
 */
import type { AbortOptions, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { x25519 } from '@noble/curves/ed25519.js'
import { type Did, didFromKey, encodeCanonical, keyFromDid, sameBytes, type Signer } from '@souk/records'
import {
  askExchange,
  decodeMap,
  type ExchangeHost,
  expectShape,
  type Guard,
  openGuard,
  serveExchange
} from '../exchange.ts'
import { ProtocolError, type ProtocolErrorCode } from '../protocol-error.ts'
import type { Contacts } from './contacts.ts'
import { openEnvelope, writeEnvelope, writeFirstEnvelope } from './envelope.ts'
import { firstContactBits, messageLimits } from './limits.ts'
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
}

/** Whom a message goes to, and what it says. */
export interface OutgoingMessage {
  readonly to: Did
  /** X25519, chosen from the recipient's profile: see `choosePrekey`. */
  readonly prekey: Uint8Array
  /** The same for every attempt. 1 to 128 visible ASCII characters. */
  readonly messageId: string
  readonly payload: Uint8Array
}

/** A message ready for any way of delivery. */
export interface PreparedMessage {
  readonly envelope: Uint8Array
  /** What an honest acknowledgement holds. */
  readonly proof: Uint8Array
}

/** The keys of the identity that writes and is written to. */
export interface MessageKeys {
  readonly signer: Signer
  /** X25519 secret that never changes, 32 bytes. */
  readonly messageKey: Uint8Array
  /** X25519 secrets of the prekeys in the profile and of earlier ones still held. */
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
  readonly now?: () => number
  /** Work that strangers must have done. */
  readonly workBits?: number
}

export interface Messages extends AsyncDisposable {
  /**
   * Delivers to the first of `peers` that acknowledges.
   *
   * @param peers - In the order in which they are tried; relayed addresses too.
   * @throws {@link ProtocolError} of the last attempt: `unreachable`, `timed-out`, `not-processed`, `unknown-prekey`
   * (fetch the profile again), `bad-proof` …
   */
  send(
    message: OutgoingMessage & { readonly peers: readonly (PeerId | Multiaddr | Multiaddr[])[] },
    options?: AbortOptions
  ): Promise<void>
  /** Seals without sending: for mailboxes. */
  prepare(message: OutgoingMessage): Promise<PreparedMessage>
  /**
   * Processes an envelope that came by another way, such as a mailbox. May be deleted there when this resolves.
   *
   * @throws {@link ProtocolError} with the code of what is wrong with it; `not-processed` is worth another try.
   */
  accept(envelope: Uint8Array, options?: AbortOptions): Promise<void>
}

export async function createMessages(components: MessagesComponents, init: MessagesInit): Promise<Messages> {
  const { libp2p, keys, contacts, guard = openGuard } = components
  const now = init.now ?? Date.now
  const workBits = init.workBits ?? firstContactBits
  const inHand = new Map<string, Promise<void>>()

  /** @returns The proof that acknowledges. */
  async function receive(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const envelope = openEnvelope(bytes)
    if (!sameBytes(envelope.to, keys.signer.publicKey)) {
      throw new ProtocolError('wrong-recipient', 'the envelope is for another identity')
    }
    const owner = await contacts.ownerOf(envelope.by)
    if (owner === undefined && envelope.workBits < workBits) {
      throw new ProtocolError('work-missing', `a first contact needs ${workBits} bits of work`)
    }
    const secrets = [...(await keys.prekeySecrets()), keys.messageKey]
    const letter = unseal(envelope.box, { recipient: keys.signer.publicKey, secrets })
    if (owner !== undefined && !sameBytes(owner, letter.from)) {
      throw new ProtocolError('bad-signature', 'the key of one conversation signed the envelope of another')
    }
    await processOnce(letter, signal)
    return letter.proof
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
    try {
      if (await init.seen?.({ from, messageId })) return
      await init.onMessage({ from, messageId, payload, sentAtMs }, { signal })
      await contacts.learn(from, letter.replyKey)
    } catch (cause) {
      throw new ProtocolError('not-processed', `message ${messageId} could not be processed`, { cause })
    }
  }

  async function answer(question: Uint8Array, { signal }: { signal: AbortSignal }): Promise<Uint8Array> {
    try {
      return encodeCanonical({ v: 1, status: 'processed', proof: await receive(question, signal) })
    } catch (error) {
      if (error instanceof ProtocolError && refusals.has(error.code)) {
        return encodeCanonical({ v: 1, status: 'refused', code: error.code })
      }
      throw error
    }
  }

  async function prepare(message: OutgoingMessage, options: { stranger?: boolean } = {}): Promise<PreparedMessage> {
    const to = keyFromDid(message.to)
    const { box, proof } = seal({
      ...message,
      from: keys.signer,
      recipient: to,
      replyKey: x25519.getPublicKey(keys.messageKey),
      sentAtMs: now()
    })
    const by = options.stranger ? undefined : await contacts.signerFor(message.to)
    return { envelope: by ? writeEnvelope({ to, box, by }) : writeFirstEnvelope({ to, box, bits: workBits }), proof }
  }

  async function sendTo(
    target: PeerId | Multiaddr | Multiaddr[],
    { envelope, proof }: PreparedMessage,
    options: AbortOptions
  ): Promise<void> {
    const exchange = { protocol: messageProtocol, limits: messageLimits }
    const ack = decodeAcknowledgement(await askExchange(libp2p, target, envelope, exchange, options))
    if (!sameBytes(ack, proof)) throw new ProtocolError('bad-proof', 'acknowledged by somebody who cannot have read it')
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
    prepare: (message) => prepare(message),
    async send({ peers, ...message }, options = {}) {
      try {
        await sendAny(peers, await prepare(message), options)
      } catch (error) {
        // They have forgotten us, or have restored from a phrase alone: introduce ourselves again.
        if (!(error instanceof ProtocolError) || error.code !== 'work-missing') throw error
        await sendAny(peers, await prepare(message, { stranger: true }), options)
      }
    },
    async accept(envelope, options = {}) {
      await receive(envelope, options.signal ?? new AbortController().signal)
    },
    async [Symbol.asyncDispose]() {
      await stopServing()
      await Promise.allSettled(inHand.values())
    }
  }
}

/** What may happen between honest peers, and is answered; all else resets the stream. */
const refusals = new Set<ProtocolErrorCode>(['wrong-recipient', 'work-missing', 'unknown-prekey', 'not-processed'])

/**
 * @returns The proof.
 * @throws {@link ProtocolError} the refusal's code, `refused` for one that is not known, or `malformed`.
 */
function decodeAcknowledgement(bytes: Uint8Array): Uint8Array {
  const { v, status, code, proof } = decodeMap(bytes, messageLimits.answerBytesMax)
  expectShape(v === 1, 'version 1 is the only one known')
  if (status === 'refused') {
    const known = Array.from(refusals).find((each) => each === code) ?? 'refused'
    throw new ProtocolError(known, `the recipient refused the message: ${known}`)
  }
  expectShape(status === 'processed' && proof instanceof Uint8Array && proof.length === 32, 'an answer has a proof')
  return proof
}
