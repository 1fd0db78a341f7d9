/**
 * Keeps gossip's stream to each peer on a connection that is open.
 *
 * gossipsub opens a stream when it hears of a peer, one peer after the other, and never again while the peer stays: when
 * the connection closes that it ran over, or the other side lets go of it, nothing is said to that peer any more. What
 * is said first on a stream is what we carry, so that a peer that has forgotten us knows us again by a new one, and
 * answers with one of its own. Whoever notices mends it for both.
 *
 * And gossipsub opens one to everybody who has opened one. Who has said neither who they are nor what they carry is told
 * nothing: who only comes to send gets no stream, a tenth of what it costs to have them.
 */
import assert from 'node:assert'
import type { GossipSub, GossipSubEvents } from '@libp2p/gossipsub'
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Roster } from '../roster.ts'
import { relinkFirstMs, relinkMaxMs, relinkSettledMs } from './limits.ts'

export interface LinksComponents {
  readonly libp2p: Pick<Libp2p, 'addEventListener' | 'getConnections'>
  /** Not started yet. */
  readonly pubsub: GossipSub
  readonly roster: Roster
}

/** Takes over from gossipsub which peers it has, and when it opens a stream to one of them. */
export function keepLinks(components: LinksComponents): Disposable {
  return new Links(components)
}

/** Where gossip stands with a peer that is connected. */
interface Link {
  readonly peer: PeerId
  /** That the last stream was opened on. */
  connection: Connection
  isOpening: boolean
  openedAtMs: number
  /** Streams that did not open, or that ended soon, since one of them lasted. */
  failures: number
  timer: NodeJS.Timeout | undefined
}

class Links implements Disposable {
  readonly #libp2p: LinksComponents['libp2p']
  readonly #router: Router
  readonly #roster: Roster
  readonly #open: Router['createOutboundStream']
  readonly #links = new Map<string, Link>()
  readonly #stopping = new AbortController()

  constructor({ libp2p, pubsub, roster }: LinksComponents) {
    this.#libp2p = libp2p
    this.#roster = roster
    const router = openRouter(pubsub)
    this.#router = router
    this.#open = router.createOutboundStream.bind(router)
    const { signal } = this.#stopping
    // What the registrar says comes late, and what one stream says of a peer is not all there is.
    router.onPeerConnected = () => {}
    router.onPeerDisconnected = () => {}
    // Asked for when a peer has opened a stream to us; the next peer does not wait for this one.
    router.createOutboundStream = async (peer, connection) => this.#onCall(peer, connection)
    const onWord = ({ detail: { peerId } }: GossipSubEvents['subscription-change']): void => this.#onWord(peerId)
    pubsub.addEventListener('subscription-change', onWord)
    signal.addEventListener('abort', () => pubsub.removeEventListener('subscription-change', onWord), { once: true })
    const unfollow = roster.follow(router.protocols, {
      onHere: (peer, connection) => this.#reach(peer, connection),
      onGone: (peer) => this.#drop(peer)
    })
    signal.addEventListener('abort', unfollow, { once: true })
    libp2p.addEventListener('connection:close', ({ detail: { remotePeer } }) => this.#onClose(remotePeer), { signal })
  }

  [Symbol.dispose](): void {
    this.#stopping.abort()
    for (const { timer } of this.#links.values()) clearTimeout(timer)
  }

  #onCall(peer: PeerId, connection: Connection): void {
    const isKnown = this.#links.has(peer.toString()) || this.#roster.connectionTo(peer) !== undefined
    if (isKnown) this.#reach(peer, connection)
  }

  /** It has said what it carries, which may be the first that is heard of it. A stream that it ended is opened no sooner for it. */
  #onWord(peer: PeerId): void {
    const connection = this.#directTo(peer)
    if (connection !== undefined && !this.#links.has(peer.toString())) this.#reach(peer, connection)
  }

  /** The peer is there, at the other end of this connection. */
  #reach(peer: PeerId, connection: Connection): void {
    if (connection.status !== 'open' || this.#stopping.signal.aborted) return
    const link = this.#links.get(peer.toString())
    if (link !== undefined) return this.#renew(link)
    const added = { peer, connection, isOpening: false, openedAtMs: 0, failures: 0, timer: undefined }
    this.#links.set(peer.toString(), added)
    this.#renew(added)
  }

  /** A peer that opens a stream before it has said who it is, and goes, is on nobody's list. */
  #onClose(peer: PeerId): void {
    if (this.#directTo(peer) === undefined) this.#drop(peer)
  }

  /** The newest, of those that gossip runs over. */
  #directTo(peer: PeerId): Connection | undefined {
    return this.#libp2p.getConnections(peer).findLast(({ status, limits }) => status === 'open' && !limits)
  }

  #drop(peer: PeerId): void {
    clearTimeout(this.#links.get(peer.toString())?.timer)
    this.#links.delete(peer.toString())
    this.#router.removePeer(peer)
  }

  /** Opens a stream where there is none that is sound, or one on an older connection. */
  #renew(link: Link): void {
    if (link.isOpening || this.#isSound(link)) return
    clearTimeout(link.timer)
    link.timer = undefined
    link.connection = this.#connectionOf(link)
    if (link.connection.status === 'open') void this.#openOn(link.connection, link)
  }

  async #openOn(connection: Connection, link: Link): Promise<void> {
    const { peer } = link
    const { streamsOutbound } = this.#router
    const name = peer.toString()
    const before = streamsOutbound.get(name)
    link.isOpening = true
    // With a stream on the list, none is opened.
    streamsOutbound.delete(name)
    this.#router.addPeer(peer, connection.direction, connection.remoteAddr)
    await this.#open(peer, connection)
    void before?.close()
    link.isOpening = false
    if (this.#links.get(name) !== link) return
    link.openedAtMs = performance.now()
    this.#watch(link, streamsOutbound.get(name)?.rawStream)
    if (!this.#isSound(link)) this.#renewSoon(link)
  }

  /** The other side never writes to the stream: when it ends its half, it has let go of it. */
  #watch(link: Link, stream: Stream | undefined): void {
    const onEnd = (): void => this.#renewSoon(link)
    stream?.addEventListener('remoteCloseWrite', onEnd, { once: true })
    stream?.addEventListener('close', onEnd, { once: true })
  }

  /** In a moment: most streams end since their connection does, and then there is nobody to say anything to. */
  #renewSoon(link: Link): void {
    if (link.timer !== undefined || this.#links.get(link.peer.toString()) !== link || this.#isSound(link)) return
    if (performance.now() - link.openedAtMs > relinkSettledMs) link.failures = 0
    const waitMs = Math.min(relinkMaxMs, relinkFirstMs * 2 ** link.failures++)
    link.timer = setTimeout(() => {
      link.timer = undefined
      this.#renew(link)
    }, waitMs).unref()
  }

  #connectionOf({ peer, connection }: Link): Connection {
    return this.#roster.connectionTo(peer) ?? connection
  }

  #isSound(link: Link): boolean {
    const stream = this.#router.streamsOutbound.get(link.peer.toString())?.rawStream
    return stream !== undefined && isOpen(stream) && link.connection === this.#connectionOf(link)
  }
}

function isOpen({ status, writeStatus, remoteWriteStatus }: Stream): boolean {
  return status === 'open' && writeStatus === 'writable' && remoteWriteStatus === 'writable'
}

interface Router {
  readonly protocols: readonly string[]
  readonly streamsOutbound: Map<string, { readonly rawStream: Stream; close(): Promise<void> }>
  addPeer(peer: PeerId, direction: Connection['direction'], address: Multiaddr): void
  removePeer(peer: PeerId): void
  createOutboundStream: (peer: PeerId, connection: Connection) => Promise<void>
  onPeerConnected: (peer: PeerId, connection: Connection) => void
  onPeerDisconnected: (peer: PeerId) => void
}

/** Private parts of gossipsub, which has no hook for any of this; fails at start if a version moves them. */
function openRouter(pubsub: GossipSub): Router {
  const router = pubsub as unknown as Router
  const methods = ['addPeer', 'removePeer', 'createOutboundStream', 'onPeerConnected', 'onPeerDisconnected'] as const
  for (const name of methods) assert(typeof router[name] === 'function', `gossipsub has its ${name} elsewhere`)
  assert(router.streamsOutbound instanceof Map, 'gossipsub keeps its streams elsewhere')
  return router
}
