/**
 * The post of one identity: takes letters to people by the ways that their profile names, directly where they are
 * online and by their relays where they are not, and collects what relays keep for this identity.
 *
 * Every installation of the recipient gets a copy of its own. A letter counts as delivered when one of them has
 * acknowledged it, by answering or by a letter that says so; the copies for the others follow by themselves.
 */
import type { AbortOptions, Libp2p } from '@libp2p/interface'
import { type Did, didFromKey, type Signer } from '@souk/records'
import type { ExchangeHost, Guard } from '../exchange.ts'
import { TokenBucket } from '../guard/bucket.ts'
import { ProtocolError } from '../protocol-error.ts'
import type { KeyValueStore } from '../store.ts'
import { type Collector, createCollector } from './collector.ts'
import { createContacts } from './contacts.ts'
import { type Copy, createCopies, type LetterName } from './copies.ts'
import { type CourierInit, createCourier, type Delivery } from './courier.ts'
import { devicesOf, type Reachable, serversOf } from './devices.ts'
import { acksMax, attemptMs, copyLifeMs, introductionsPerMinuteMax, tendEveryMs } from './limits.ts'
import { createMailboxClient } from './mailbox-client.ts'
import { createMessages, messageProtocol, type MessagesInit } from './messages.ts'
import { createPrekeys } from './prekeys.ts'
import { isSealedTo } from './seal.ts'

/** A letter to somebody. */
export interface PostedLetter extends LetterName {
  readonly payload: Uint8Array
}

export interface Post extends AsyncDisposable {
  /**
   * Resolves `delivered` when an installation of the recipient has acknowledged, `at-relay` when relays of theirs keep
   * the letter: then `onDelivered` says when it has arrived, and until it does the letter is to be offered again now
   * and then.
   *
   * @throws {@link ProtocolError} of the last attempt, or what `reachOf` throws.
   */
  deliver(letter: PostedLetter, options?: AbortOptions): Promise<Delivery>
  /** Addresses of the relays that keep letters for this identity, for its profile. */
  mailboxes(): string[]
  /** The X25519 public key that letters to this installation are sealed to, for the profile. */
  prekeys(options: { expiresAtMs: number }): Reachable['prekeys']
  /**
   * Renews the prekey when it is a week old, and offers again what other installations have not acknowledged. Happens
   * by itself every quarter of an hour.
   */
  tend(): Promise<void>
}

export interface PostComponents {
  readonly libp2p: ExchangeHost & Pick<Libp2p, 'register' | 'unregister' | 'getConnections' | 'peerStore'>
  readonly guard: Guard
  readonly signer: Signer
  /** X25519 secret, 32 bytes. */
  readonly messageKey: Uint8Array
  /** A sublevel of its own. */
  readonly store: KeyValueStore
}

export interface PostInit
  extends
    Pick<MessagesInit, 'onMessage' | 'seen' | 'workBits' | 'profile' | 'onProfile'>,
    Pick<CourierInit, 'now' | 'locate'> {
  /** What somebody's profile says. Rejects when none is known. */
  readonly reachOf: (did: Did) => Promise<Reachable>
  /** A letter that was left at a relay has arrived. */
  readonly onDelivered?: (letter: LetterName) => Promise<void>
  /** What the profile has to say has changed: a relay has begun to keep letters, or there is a new prekey. */
  readonly onReach: () => void
  readonly onError: (error: unknown) => void
}

export async function createPost(components: PostComponents, init: PostInit): Promise<Post> {
  const { libp2p, guard, signer, messageKey, store } = components
  const { now, reachOf } = init
  const me = didFromKey(signer.publicKey)
  const ownPeer = libp2p.peerId.toString()
  const contacts = createContacts({ store }, { publicKey: signer.publicKey, messageKey })
  const prekeys = await createPrekeys({ store }, { now, wrapKey: messageKey })
  const copies = createCopies({ store })
  const keys = { signer, messageKey, prekeySecrets: async () => prekeys.secrets() }
  const client = createMailboxClient({ libp2p }, { signer })
  // Letters may come before it is there; it tells the relays all when it starts.
  let collector: Collector | undefined
  const messages = await createMessages(
    { libp2p, guard, keys, contacts },
    { ...init, onAcks: takeAcks, onContact: () => collector?.admit() }
  )
  const courier = createCourier({ messages, client, copies }, init)
  const introductions = new TokenBucket(
    { perSecond: introductionsPerMinuteMax / 60, burst: introductionsPerMinuteMax },
    now()
  )
  const introduce = (): boolean => introductions.take(1, now())
  const stopping = new AbortController()
  const attempt = (): AbortOptions => ({ signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(attemptMs)]) })
  const quietly = (work: Promise<unknown>): void =>
    void work.catch((error: unknown) => stopping.signal.aborted || init.onError(error))

  const started = await createCollector(
    { libp2p, client, messages, contacts },
    {
      isForOther: async (box) => {
        const own = await reachOf(me).catch(() => undefined)
        return own?.prekeys.some(({ key, peer }) => peer !== ownPeer && isSealedTo(box, key)) === true
      },
      onProcessed: (processed) => quietly(acknowledgeAll(processed)),
      onMailboxes: init.onReach,
      onError: init.onError
    }
  )

  collector = started

  /** Somebody says which letters they have processed; what was not written to them is not theirs to acknowledge. */
  async function takeAcks(from: Did, proofs: readonly Uint8Array[]): Promise<boolean> {
    const found = await Promise.all(proofs.map((proof) => copies.findByProof(proof)))
    const theirs = found.filter((copy) => copy !== undefined).filter(({ to }) => to === from)
    for (const copy of theirs) await settle(copy)
    return theirs.length > 0
  }

  /** The copy goes last: a crash in between has the letter offered, and acknowledged, once more. */
  async function settle(copy: Copy): Promise<void> {
    const { to, messageId, device, isLeft } = copy
    if (!isLeft) {
      await copies.leaveRest({ to, messageId }, { except: device })
      await init.onDelivered?.({ to, messageId })
    }
    await copies.remove(copy)
  }

  const destinationsOf = async (to: Did) => {
    const reach = await reachOf(to)
    const devices = devicesOf(reach, { nowMs: now(), ...(to === me && { except: ownPeer }) })
    return devices.map((device) => ({ device, servers: serversOf(reach) }))
  }

  async function deliver(letter: PostedLetter, options: AbortOptions): Promise<Delivery> {
    const destinations = await destinationsOf(letter.to)
    // All are written down before one is sent, so that the first answer knows which others are left.
    const sealed = await Promise.all(destinations.map(({ device }) => courier.seal(letter, device)))
    const tries = destinations.map((each, index) => courier.carry(sealed[index] as Copy, each, options))
    // A person's only installation needs no copy of what it wrote to itself.
    if (tries.length === 0 || (await anyDelivered(tries))) {
      await copies.leaveRest(letter)
      return 'delivered'
    }
    const results = await Promise.allSettled(tries)
    if (results.some(({ status }) => status === 'fulfilled')) return 'at-relay'
    throw (results[0] as PromiseRejectedResult).reason
  }

  /** Copies for installations that slept when another of theirs acknowledged. */
  async function followUp(device?: string): Promise<void> {
    for (const copy of await copies.left(device)) {
      if (stopping.signal.aborted) return
      await followOne(copy).catch((error: unknown) => error instanceof ProtocolError || init.onError(error))
    }
  }

  async function followOne(copy: Copy): Promise<void> {
    const destinations = await destinationsOf(copy.to)
    const destination = destinations.find(({ device }) => device.id === copy.device)
    if (destination === undefined || now() - copy.sealedAtMs >= copyLifeMs) return copies.remove(copy)
    await courier.carry(await courier.seal(copy, destination.device), destination, attempt())
  }

  /** Tells writers which of their letters a relay has brought: their outbox waits for it. */
  async function acknowledgeAll(processed: ReadonlyMap<Did, readonly Uint8Array[]>): Promise<void> {
    for (const [from, proofs] of processed) {
      for (let at = 0; at < proofs.length; at += acksMax) {
        // Who cannot be told now, or has no profile that came here, offers the letter again and is told then.
        await acknowledge(from, proofs.slice(at, at + acksMax)).catch(() => {})
      }
    }
  }

  /** Which of the writer's installations waits for it is not known: each of them is told. */
  async function acknowledge(to: Did, acks: readonly Uint8Array[]): Promise<void> {
    const destinations = await destinationsOf(to)
    const message = { to, messageId: 'ack', payload: new Uint8Array(), acks }
    await Promise.all(
      destinations.map((each) =>
        courier.sendOnce({ ...message, prekey: each.device.prekey }, each, { ...attempt(), introduce })
      )
    )
  }

  async function tend(): Promise<void> {
    if (await prekeys.rotate()) init.onReach()
    await followUp()
  }

  const topology = await libp2p.register(messageProtocol, {
    onConnect: (peer) => quietly(followUp(peer.toString())),
    onDisconnect: () => {}
  })
  const timer = setInterval(() => quietly(tend()), tendEveryMs)
  timer.unref()

  return {
    deliver: (letter, options = {}) => deliver(letter, options),
    mailboxes: () => started.mailboxes(),
    prekeys: ({ expiresAtMs }) => [{ key: prekeys.current(), expiresAt: expiresAtMs, peer: ownPeer }],
    tend,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      clearInterval(timer)
      libp2p.unregister(topology)
      await started[Symbol.asyncDispose]()
      await messages[Symbol.asyncDispose]()
    }
  }
}

/** As soon as one says so: an installation that is gone for good holds up no other. */
async function anyDelivered(tries: readonly Promise<Delivery>[]): Promise<boolean> {
  const delivered = tries.map(async (each) => {
    if ((await each) !== 'delivered') throw new ProtocolError('unreachable', 'at relays only')
  })
  return Promise.any(delivered).then(
    () => true,
    () => false
  )
}
