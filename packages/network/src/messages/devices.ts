/**
 * Who reads what is written to an identity: each of its installations has a prekey of its own and gets a copy of its
 * own, so that no secret has to travel between them.
 */
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { ContentOf } from '@souk/records'
import { ProtocolError } from '../protocol-error.ts'
import { mailboxesMax } from './limits.ts'
import type { MailboxServer } from './mailbox-client.ts'

/** What a profile says about how somebody is reached. */
export type Reachable = Pick<ContentOf<'profile'>, 'peers' | 'mailboxes' | 'prekeys'>

/** What can be dialled. */
export type DialTarget = PeerId | Multiaddr[]

/** One installation of somebody, or all that have no prekey of their own. */
export interface Device {
  /** Its peer id; `any` for a prekey that names none. */
  readonly id: string
  /** X25519 public key, 32 bytes. */
  readonly prekey: Uint8Array
  readonly targets: readonly DialTarget[]
}

/**
 * The installations that a profile names, each with its newest prekey that is still valid.
 *
 * @param options.except - Peer id of one's own installation, for letters to oneself.
 * @throws {@link ProtocolError} `expired` when no prekey is valid: the profile has to be fetched again.
 */
export function devicesOf(reach: Reachable, options: { nowMs: number; except?: string }): Device[] {
  const valid = reach.prekeys.filter(({ expiresAt }) => expiresAt > options.nowMs)
  if (valid.length === 0) {
    throw new ProtocolError('expired', 'all prekeys of the profile have expired; fetch it again')
  }
  // Newest first: of several keys of one installation the first is the one to use.
  const byPeer = new Map(valid.toReversed().map(({ peer, key }) => [peer, key]))
  const devices = Array.from(byPeer, ([peer, prekey]): Device => {
    const theirs = reach.peers.filter(({ id }) => (peer === undefined ? !byPeer.has(id) : id === peer))
    return { id: peer ?? 'any', prekey, targets: theirs.flatMap(dialTargetOf) }
  })
  return devices.filter(({ id }) => id !== options.except)
}

/**
 * What to dial for a peer of a profile: the addresses that it names, each bound to the peer's key, else the peer alone,
 * wherever the DHT finds it.
 *
 * @returns Nothing for what is no peer.
 */
export function dialTargetOf({ id, addresses }: Reachable['peers'][number]): DialTarget[] {
  try {
    const peer = peerIdFromString(id)
    const known = addresses.map((address) => withPeer(multiaddr(address), peer))
    return known.length === 0 ? [peer] : [known]
  } catch {
    // A profile may name anything; what is no peer cannot be tried.
    return []
  }
}

/** The installations that somebody names, for the keeper of connections; what is no peer is passed over. */
export function installationsOf({ peers }: Pick<Reachable, 'peers'>): MailboxServer[] {
  return peers.flatMap((named) => {
    const [target] = dialTargetOf(named)
    return target === undefined
      ? []
      : [{ peer: peerIdFromString(named.id), addresses: Array.isArray(target) ? target : [] }]
  })
}

/** The relays that keep letters for somebody; what is no address is passed over. */
export function serversOf({ mailboxes = [] }: Pick<Reachable, 'mailboxes'>): MailboxServer[] {
  return mailboxes.flatMap(serverOf).slice(0, mailboxesMax)
}

/** An address that ends in the peer's id, so that nobody else can answer there. */
export function withPeer(address: Multiaddr, peer: PeerId): Multiaddr {
  const named = address.getComponents().some(({ name, value }) => name === 'p2p' && value === peer.toString())
  return named ? address : address.encapsulate(`/p2p/${peer.toString()}`)
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
