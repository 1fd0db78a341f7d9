/**
 * The serving side of `/souk/mailbox/1`, for relays: keeps envelopes for recipients that are away. It can read none of
 * them, and hands them to nobody but the recipient.
 */
import type { Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { randomBytes } from '@noble/hashes/utils.js'
import { verifySignature } from '@souk/records'
import { type Asker, type ExchangeHost, type Guard, isOffence, openGuard, serveExchange } from '../exchange.ts'
import { addressGroups, blockOf } from '../guard/address.ts'
import { ProtocolError, type ProtocolErrorCode } from '../protocol-error.ts'
import type { KeyValueStore } from '../store.ts'
import { readEnvelope } from './envelope.ts'
import {
  addressesMax,
  addressesPerBlock,
  addressPeriodMs,
  challengeMs,
  digestsPerQuestionMax,
  mailboxExchangeLimits,
  mailboxLimits,
  type MailboxLimits,
  sessionMs,
  sessionsMax,
  sweepEveryMs
} from './limits.ts'
import {
  decodeMailboxQuestion,
  encodeMailboxAnswer,
  mailboxProtocol,
  type MailboxQuestion,
  openingBytes,
  type PutOutcome
} from './mailbox-wire.ts'
import { createPigeonholes, type Held, type Pigeonholes } from './pigeonholes.ts'

/** The least that a mailbox server needs. */
export interface MailboxComponents {
  readonly libp2p: ExchangeHost & Pick<Libp2p, 'logger'>
  /** A sublevel of its own. */
  readonly store: KeyValueStore
  readonly guard?: Guard
}

export interface MailboxInit {
  readonly now?: () => number
  readonly limits?: Partial<MailboxLimits>
  /** True for those who get no mailbox here. */
  readonly refuses?: (identity: Uint8Array) => boolean
  /** Told when {@link Mailbox.held} has changed by somebody's doing. */
  readonly onChanged?: () => void
}

export interface Mailbox extends AsyncDisposable {
  /** Drops what has expired. Runs by itself every ten minutes. */
  sweep(): Promise<void>
  /** Gives an identity's mailbox up, with all that waits in it. */
  close(identity: Uint8Array): Promise<void>
  held(): Held
}

export async function createMailbox(components: MailboxComponents, init: MailboxInit = {}): Promise<Mailbox> {
  const { libp2p, store, guard = openGuard } = components
  const now = init.now ?? Date.now
  const limits: MailboxLimits = { ...mailboxLimits, ...init.limits }
  const log = libp2p.logger.forComponent('souk:mailbox')
  const holes = await createPigeonholes({ store }, { now, limits })
  const left = createAddressCounter({ most: limits.envelopesPerAddressMax, now })
  const leftBytes = createAddressCounter({ most: limits.bytesPerAddressMax, now })
  const made = createAddressCounter({ most: limits.recipientsPerAddressMax, now })
  const challenges = createExpiringMap<Uint8Array>({ lifeMs: challengeMs, now })
  const sessions = createExpiringMap<Uint8Array>({ lifeMs: sessionMs, now })

  async function answer(bytes: Uint8Array, asker: Asker): Promise<Uint8Array> {
    const question = decodeMailboxQuestion(bytes)
    switch (question.op) {
      case 'put':
        return encodeMailboxAnswer.put(await put(question.envelope, asker))
      case 'challenge':
        return encodeMailboxAnswer.challenge(challenge(asker.peer))
      case 'open':
        await open(question, asker)
        return encodeMailboxAnswer.done()
      case 'list':
      case 'take':
      case 'delete':
      case 'admit':
        return ownersAnswer(question, ownerOf(asker.peer))
    }
  }

  async function ownersAnswer(question: OwnerQuestion, owner: Uint8Array): Promise<Uint8Array> {
    const answered = await answerOwner(holes, question, owner)
    if (question.op === 'delete') init.onChanged?.()
    return answered
  }

  async function put(bytes: Uint8Array, { address }: Asker): Promise<PutOutcome> {
    const envelope = readEnvelope(bytes)
    try {
      left.take(address, 1)
      leftBytes.take(address, bytes.length)
      const status = await holes.put(envelope, { block: blockOf(address) })
      if (status === 'kept') init.onChanged?.()
      return { status }
    } catch (error) {
      if (error instanceof ProtocolError && !isOffence(error.code)) return { status: 'refused', code: error.code }
      throw error
    }
  }

  function challenge(peer: PeerId): Uint8Array {
    const nonce = randomBytes(32)
    challenges.set(peer.toString(), nonce)
    return nonce
  }

  async function open({ identity, sig }: { identity: Uint8Array; sig: Uint8Array }, asker: Asker): Promise<void> {
    const peer = asker.peer.toString()
    const nonce = challenges.take(peer)
    if (nonce === undefined) throw new ProtocolError('not-authenticated', 'ask for a challenge first')
    const message = openingBytes({ mailbox: libp2p.peerId.toString(), peer, nonce })
    if (!verifySignature({ signature: sig, message, publicKey: identity })) {
      throw new ProtocolError('bad-signature', 'the identity did not answer the challenge')
    }
    if (init.refuses?.(identity) === true) throw new ProtocolError('refused', 'this identity gets no mailbox here')
    if (!holes.has(identity)) made.take(asker.address, 1)
    await holes.open(identity)
    init.onChanged?.()
    sessions.set(peer, identity)
  }

  function ownerOf(peer: PeerId): Uint8Array {
    const identity = sessions.get(peer.toString())
    if (identity === undefined || !holes.has(identity)) {
      throw new ProtocolError('not-authenticated', 'open the mailbox first')
    }
    return identity
  }

  const stopServing = await serveExchange(
    { libp2p, guard },
    { protocol: mailboxProtocol, limits: mailboxExchangeLimits, answer }
  )
  const onTimer = (): void => {
    holes.sweep().catch((error: unknown) => log.error('sweeping failed - %e', error))
  }
  const timer = setInterval(onTimer, sweepEveryMs)
  timer.unref()

  return {
    sweep: () => holes.sweep(),
    async close(identity) {
      await holes.close(identity)
      init.onChanged?.()
    },
    held: () => holes.held(),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await stopServing()
    }
  }
}

type OwnerQuestion = Extract<MailboxQuestion, { op: 'list' | 'take' | 'delete' | 'admit' }>

async function answerOwner(holes: Pigeonholes, question: OwnerQuestion, owner: Uint8Array): Promise<Uint8Array> {
  switch (question.op) {
    case 'list': {
      const { after } = question
      return encodeMailboxAnswer.list(await holes.page(owner, { after, limit: digestsPerQuestionMax }))
    }
    case 'take':
      return encodeMailboxAnswer.take(await readEnvelopes(holes, question.digests, owner))
    case 'delete':
      await holes.delete(owner, question.digests)
      return encodeMailboxAnswer.done()
    case 'admit':
      await holes.admit(owner, question.keys)
      return encodeMailboxAnswer.done()
  }
}

/** As many as one answer carries, in the order asked. */
async function readEnvelopes(
  holes: Pigeonholes,
  digests: readonly Uint8Array[],
  owner: Uint8Array
): Promise<Uint8Array[]> {
  const envelopes: Uint8Array[] = []
  let room = mailboxExchangeLimits.answerBytesMax - answerOverheadBytes
  for (const digest of digests) {
    const bytes = await holes.get(owner, digest)
    if (bytes === undefined) continue
    room -= bytes.length + itemOverheadBytes
    if (room < 0) break
    envelopes.push(bytes)
  }
  return envelopes
}

/** Map, names and the list's head. */
const answerOverheadBytes = 64
/** The head of one byte string. */
const itemOverheadBytes = 5

interface AddressCounter {
  /** @throws {@link ProtocolError} `address-full`. */
  take(address: Multiaddr, amount: number): void
}

/** Counts what each network address, and each block of them, has used of its part in a day. */
function createAddressCounter(init: { most: number; now: () => number }): AddressCounter {
  const used = new Map<string, { readonly count: number; readonly sinceMs: number }>()

  function usedBy(name: string): { count: number; sinceMs: number } {
    const known = used.get(name)
    const nowMs = init.now()
    return known !== undefined && nowMs - known.sinceMs < addressPeriodMs ? known : { count: 0, sinceMs: nowMs }
  }

  function note(name: string, amount: number): void {
    const { count, sinceMs } = usedBy(name)
    used.delete(name)
    used.set(name, { count: count + amount, sinceMs })
    const [oldest] = used.keys()
    if (used.size > addressesMax && oldest !== undefined) used.delete(oldest)
  }

  return {
    take(address, amount) {
      const block = blockOf(address)
      const host = addressGroups(address)?.host ?? block
      const full =
        usedBy(`host ${host}`).count + amount > init.most ||
        usedBy(`block ${block}`).count + amount > init.most * addressesPerBlock
      const code: ProtocolErrorCode = 'address-full'
      if (full) throw new ProtocolError(code, `this address has used its ${init.most} of the day`)
      note(`host ${host}`, amount)
      note(`block ${block}`, amount)
    }
  }
}

interface ExpiringMap<T> {
  set(key: string, value: T): void
  get(key: string): T | undefined
  /** Reads and forgets. */
  take(key: string): T | undefined
}

/** Entries that lapse; the oldest give way above {@link sessionsMax}. */
function createExpiringMap<T>({ lifeMs, now }: { lifeMs: number; now: () => number }): ExpiringMap<T> {
  const entries = new Map<string, { value: T; untilMs: number }>()
  const get = (key: string): T | undefined => {
    const entry = entries.get(key)
    return entry !== undefined && entry.untilMs > now() ? entry.value : undefined
  }
  return {
    get,
    set(key, value) {
      entries.delete(key)
      entries.set(key, { value, untilMs: now() + lifeMs })
      const [oldest] = entries.keys()
      if (entries.size > sessionsMax && oldest !== undefined) entries.delete(oldest)
    },
    take(key) {
      const value = get(key)
      entries.delete(key)
      return value
    }
  }
}
