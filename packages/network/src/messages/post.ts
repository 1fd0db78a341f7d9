/**
 * The post of one identity: takes letters to people by the ways that their profile names, directly where they are
 * online and by their relays where they are not, and collects what relays keep for this identity.
 */
import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { x25519 } from '@noble/curves/ed25519.js'
import type { ContentOf, Did, Signer } from '@souk/records'
import type { ExchangeHost, Guard } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import type { KeyValueStore } from '../store.ts'
import { createContacts } from './contacts.ts'
import { mailboxesMax } from './limits.ts'
import { createMailboxClient, type MailboxServer } from './mailbox-client.ts'
import { mailboxProtocol } from './mailbox-wire.ts'
import { createMessages, type MessagesInit } from './messages.ts'
import { choosePrekey } from './seal.ts'

/** What a profile says about how somebody is reached. */
export type Reachable = Pick<ContentOf<'profile'>, 'peers' | 'mailboxes' | 'prekeys'>

/** A letter to somebody. */
export interface PostedLetter {
  readonly to: Did
  readonly reach: Reachable
  /** The same for every attempt. */
  readonly messageId: string
  readonly payload: Uint8Array
}

export interface Post extends AsyncDisposable {
  /**
   * Resolves `delivered` when the recipient has acknowledged, `at-relay` when relays of theirs keep the letter; then it
   * is to be offered again later, until it is acknowledged.
   *
   * @throws {@link ProtocolError} of the last attempt.
   */
  deliver(letter: PostedLetter, options?: AbortOptions): Promise<'delivered' | 'at-relay'>
  /** Addresses of the relays that keep letters for this identity, for its profile. */
  mailboxes(): string[]
  /** X25519 public keys that letters may be sealed to, for its profile. */
  prekeys(options: { expiresAtMs: number }): Reachable['prekeys']
}

export interface PostComponents {
  readonly libp2p: ExchangeHost & Pick<Libp2p, 'register' | 'unregister' | 'getConnections'>
  readonly guard: Guard
  readonly signer: Signer
  /** X25519 secret, 32 bytes. */
  readonly messageKey: Uint8Array
  /** A sublevel of its own. */
  readonly store: KeyValueStore
}

export interface PostInit extends Pick<MessagesInit, 'onMessage' | 'seen' | 'workBits'> {
  readonly now: () => number
  /** Told when a relay begins or ceases to keep letters for this identity. */
  readonly onMailboxes: () => void
  readonly onError: (error: unknown) => void
}

export async function createPost(components: PostComponents, init: PostInit): Promise<Post> {
  const { libp2p, guard, signer, messageKey, store } = components
  const contacts = createContacts({ store }, { publicKey: signer.publicKey, messageKey })
  const keys = { signer, messageKey, prekeySecrets: async () => [messageKey] }
  const messages = await createMessages({ libp2p, guard, keys, contacts }, init)
  const client = createMailboxClient({ libp2p }, { signer })
  const relays = new Map<string, MailboxServer>()
  const stopping = new AbortController()

  /** Makes this identity known to a relay, and takes what it has kept. */
  const visit = async (peer: PeerId): Promise<void> => {
    const server = { peer }
    const { signal } = stopping
    await client.admit(server, await contacts.keys(), { signal })
    await client.collect(server, (envelope) => messages.accept(envelope, { signal }), { signal })
    if (relays.has(peer.toString()) || relays.size >= mailboxesMax) return
    relays.set(peer.toString(), { peer, addresses: addressesOf(peer) })
    init.onMailboxes()
  }

  const addressesOf = (peer: PeerId): Multiaddr[] =>
    libp2p
      .getConnections(peer)
      .filter(({ direction }) => direction === 'outbound')
      .map(({ remoteAddr }) => withPeer(remoteAddr, peer))

  const topology = await libp2p.register(mailboxProtocol, {
    onConnect: (peer) => {
      visit(peer).catch((error: unknown) => {
        if (!stopping.signal.aborted) init.onError(error)
      })
    },
    onDisconnect: () => {}
  })

  const leave = async (letter: PostedLetter, options: AbortOptions): Promise<boolean> => {
    const servers = (letter.reach.mailboxes ?? []).flatMap(serverOf).slice(0, mailboxesMax)
    if (servers.length === 0) return false
    const { envelope } = await messages.prepare(prepared(letter))
    const results = await Promise.allSettled(servers.map((server) => client.put(server, envelope, options)))
    return results.some(({ status }) => status === 'fulfilled')
  }

  const prepared = ({ to, reach, messageId, payload }: PostedLetter) => {
    const prekey = choosePrekey(reach.prekeys, { nowMs: init.now() })
    return { to, prekey, messageId, payload }
  }

  return {
    async deliver(letter, options = {}) {
      const peers = letter.reach.peers.flatMap(dialTargetOf)
      try {
        await messages.send({ ...prepared(letter), peers }, options)
        return 'delivered'
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        if (await leave(letter, options)) return 'at-relay'
        throw error
      }
    },
    mailboxes: () => [...relays.values()].flatMap(({ addresses = [] }) => addresses.slice(0, 1)).map(String),
    prekeys: ({ expiresAtMs }) => [{ key: x25519.getPublicKey(messageKey), expiresAt: expiresAtMs }],
    async [Symbol.asyncDispose]() {
      stopping.abort()
      libp2p.unregister(topology)
      await messages[Symbol.asyncDispose]()
    }
  }
}

/**
 * What to dial for a peer of a profile: the addresses that it names, each bound to the peer's key, else the peer alone,
 * wherever the DHT finds it.
 *
 * @returns Nothing for what is no peer.
 */
export function dialTargetOf({ id, addresses }: Reachable['peers'][number]): (PeerId | Multiaddr[])[] {
  try {
    const peer = peerIdFromString(id)
    const known = addresses.map((address) => withPeer(multiaddr(address), peer))
    return known.length === 0 ? [peer] : [known]
  } catch {
    // A profile may name anything; what is no peer cannot be tried.
    return []
  }
}

function serverOf(address: string): MailboxServer[] {
  try {
    const parsed = multiaddr(address)
    const id = parsed.getComponents().findLast(({ name }) => name === 'p2p')?.value
    return id === undefined ? [] : [{ peer: peerIdFromString(id), addresses: [parsed] }]
  } catch {
    return []
  }
}

function withPeer(address: Multiaddr, peer: PeerId): Multiaddr {
  const named = address.getComponents().some(({ name, value }) => name === 'p2p' && value === peer.toString())
  return named ? address : address.encapsulate(`/p2p/${peer.toString()}`)
}
