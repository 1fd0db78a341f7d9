/** Collects what relays keep for this identity, and tells them who may write to it without work. */
import type { Libp2p, PeerId } from '@libp2p/interface'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { Did } from '@souk/records'
import { ProtocolError } from '../protocol-error.ts'
import type { Contacts } from './contacts.ts'
import { withPeer } from './devices.ts'
import { readEnvelope } from './envelope.ts'
import { collectAgainMs, collectEveryMs, relaysVisitedMax, unopenableMax } from './limits.ts'
import type { MailboxClient, MailboxServer } from './mailbox-client.ts'
import { mailboxProtocol } from './mailbox-wire.ts'
import type { Accepted, Messages } from './messages.ts'

export interface Collector extends AsyncDisposable {
  /** Addresses of the relays that keep letters for this identity and can be dialled, first met first. */
  mailboxes(): string[]
  /** Tells the relays that somebody else writes without work from now on. */
  admit(): void
}

export interface CollectorComponents {
  readonly libp2p: Pick<Libp2p, 'register' | 'unregister' | 'getConnections' | 'peerStore'>
  readonly client: Pick<MailboxClient, 'admit' | 'collect'>
  readonly messages: Pick<Messages, 'accept'>
  readonly contacts: Pick<Contacts, 'keys'>
}

export interface CollectorInit {
  /** True for a box that another installation of this identity can open. */
  readonly isForOther: (box: Uint8Array) => Promise<boolean>
  /** Proofs of letters that a relay has brought and that were processed, by their writers. */
  readonly onProcessed: (proofs: ReadonlyMap<Did, readonly Uint8Array[]>) => void
  /** A relay has begun to keep letters for this identity. */
  readonly onMailboxes: () => void
  readonly onError: (error: unknown) => void
}

export async function createCollector(components: CollectorComponents, init: CollectorInit): Promise<Collector> {
  const { libp2p, client, messages, contacts } = components
  const relays = new Map<string, MailboxServer>()
  const visits = new Map<string, Promise<void>>()
  /** Visits of a relay that failed since one went well. */
  const failures = new Map<string, number>()
  const unopenable = new Set<string>()
  const stopping = new AbortController()
  const { signal } = stopping

  /** Makes this identity known to a relay, and takes what it has kept. */
  const visit = async (peer: PeerId): Promise<void> => {
    await client.admit({ peer }, await contacts.keys(), { signal })
    // From here on it hears of new contacts: what it keeps may bring the first one.
    keep(peer)
    const processed = new Map<Did, Uint8Array[]>()
    const skip = (digest: Uint8Array): boolean => unopenable.has(bytesToHex(digest))
    try {
      await client.collect({ peer }, (envelope) => take(envelope, processed), { signal, skip })
    } finally {
      if (processed.size > 0) init.onProcessed(processed)
    }
  }

  const keep = (peer: PeerId): void => {
    if (relays.has(peer.toString()) || relays.size >= relaysVisitedMax) return
    relays.set(peer.toString(), { peer, addresses: addressesOf(peer) })
    init.onMailboxes()
  }

  const visitOnce = (peer: PeerId): void => {
    const id = peer.toString()
    if (visits.has(id) || signal.aborted) return
    const onFailure = (error: unknown): void => {
      if (signal.aborted) return
      init.onError(error)
      visitAgain(peer)
    }
    const running = visit(peer)
      .then(() => void failures.delete(id), onFailure)
      .then(() => void visits.delete(id))
    visits.set(id, running)
  }

  /** Soon at first: letters wait there, and what was in the way may have been the start of either side. */
  const visitAgain = (peer: PeerId): void => {
    const id = peer.toString()
    const before = failures.get(id) ?? 0
    failures.set(id, before + 1)
    const waitMs = Math.min(collectEveryMs, collectAgainMs * 2 ** before)
    setTimeout(() => {
      if (libp2p.getConnections(peer).length > 0) visitOnce(peer)
      else failures.delete(id)
    }, waitMs).unref()
  }

  /** Resolves for what may be deleted at the relay: it is processed, or will never be. */
  const take = async (envelope: Uint8Array, processed: Map<Did, Uint8Array[]>): Promise<void> => {
    try {
      note(await messages.accept(envelope, { signal }), processed)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code === 'not-processed') throw error
      if (error.code !== 'unknown-prekey') return init.onError(error)
      await leave(envelope, error)
      throw error
    }
  }

  /** What is not sealed to us stays: another installation fetches it, or it lapses and its writer seals it anew. */
  const leave = async (bytes: Uint8Array, error: ProtocolError): Promise<void> => {
    const { box, digest } = readEnvelope(bytes).check()
    if (unopenable.size >= unopenableMax) unopenable.clear()
    unopenable.add(bytesToHex(digest))
    if (!(await init.isForOther(box))) init.onError(error)
  }

  const addressesOf = (peer: PeerId): MailboxServer['addresses'] =>
    libp2p
      .getConnections(peer)
      .filter(({ direction }) => direction === 'outbound')
      .map(({ remoteAddr }) => withPeer(remoteAddr, peer))

  const connected = (): PeerId[] =>
    [...relays.values()].map(({ peer }) => peer).filter((peer) => libp2p.getConnections(peer).length > 0)

  let telling: Promise<void> | undefined
  /** Changes that come while relays are being told are told together afterwards. */
  const tellAll = async (): Promise<void> => {
    const keys = await contacts.keys()
    telling = undefined
    await Promise.all(connected().map((peer) => client.admit({ peer }, keys, { signal })))
  }

  const topology = await libp2p.register(mailboxProtocol, { onConnect: visitOnce, onDisconnect: () => {} })
  // libp2p tells of those who introduce themselves from now on; a node that starts has often met its relays by then.
  for (const { remotePeer: peer } of libp2p.getConnections()) {
    const known = await libp2p.peerStore.get(peer).catch(() => undefined)
    if (known?.protocols.includes(mailboxProtocol) === true) visitOnce(peer)
  }
  const timer = setInterval(() => connected().forEach(visitOnce), collectEveryMs)
  timer.unref()

  return {
    mailboxes: () => [...relays.values()].flatMap(({ addresses = [] }) => addresses.slice(0, 1)).map(String),
    admit() {
      telling ??= tellAll().catch((error: unknown) => void (signal.aborted || init.onError(error)))
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      clearInterval(timer)
      libp2p.unregister(topology)
      await Promise.all(visits.values())
    }
  }
}

function note({ from, proof }: Accepted, processed: Map<Did, Uint8Array[]>): void {
  if (proof !== undefined) processed.set(from, [...(processed.get(from) ?? []), proof])
}
