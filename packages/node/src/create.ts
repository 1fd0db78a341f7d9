import { randomBytes } from 'node:crypto'
import type { Images } from '@souk/images'
import {
  createFeedbackDirectory,
  createNetwork,
  createPost,
  createPresence,
  type Network,
  dialTargetOf,
  peerKeyFromSeed,
  type Post,
  type Presence,
  type Reachable
} from '@souk/network'
import {
  categories,
  type Channel,
  type Did,
  didFromKey,
  type Identity,
  nymFromKey,
  openRecord,
  walletAddress
} from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import type { CID } from 'multiformats/cid'
import { type Acquaintances, openAcquaintances } from './acquaintances.ts'
import { createCompany } from './company.ts'
import { type Chains, createChains } from './chains.ts'
import type { ChainInit, NetworkInit, TrustInit } from './config.ts'
import { NodeError } from './errors.ts'
import { createEventBus } from './events.ts'
import { createEvidence } from './evidence.ts'
import { createFeedbacks } from './feedbacks.ts'
import { followSync, forwardEvents } from './forward.ts'
import { watchHealth } from './health.ts'
import { startHousework } from './housework.ts'
import { openInstall } from './install.ts'
import { createLetters } from './letters.ts'
import { addressesMax, profileLifeMs } from './limits.ts'
import { createListings } from './listings.ts'
import { createMail, type Mail } from './mail.ts'
import type { SoukNode, StatusView } from './node.ts'
import { createOrders, type OrderDesk } from './orders.ts'
import { followOwnProfile } from './own-profile.ts'
import { createPeers } from './peers.ts'
import { createPictures, uploadOwner } from './pictures.ts'
import { createProfiles, type ProfileDesk } from './profiles.ts'
import { createProver } from './prover.ts'
import { createPublisher } from './publisher.ts'
import { createSearches } from './searches.ts'
import { createWallet } from './wallet.ts'

/** What a node is made from. Everything but the first two has a default that works with no server and no network. */
export interface NodeInit {
  /** A folder of this node alone; made when it is missing. */
  readonly directory: string
  /** From {@link identityFromPhrase}. */
  readonly identity: Identity
  readonly network?: NetworkInit
  readonly chains?: readonly ChainInit[]
  readonly trust?: TrustInit
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Gets what goes wrong while nobody waits for an answer. */
  readonly onError?: (error: unknown) => void
}

/** The market that is built in. */
const market = 'main'

/** Every channel of the market: one person's node carries all of it, and filters when it shows. */
const channels: readonly Channel[] = ['people', 'feedback', ...categories.map(({ id }): Channel => `listings/${id}`)]

/**
 * Opens a node: store, network, chains, and everything that works by itself. It listens when the promise resolves.
 *
 * @throws `StorageError` `locked` when another process has the folder open, and the errors of the packages below.
 */
export async function createNode(init: NodeInit): Promise<SoukNode> {
  await using opened = new AsyncDisposableStack()
  const node = await open(init, opened)
  const kept = opened.move()
  return Object.assign(node, { [Symbol.asyncDispose]: () => kept.disposeAsync() })
}

async function open(init: NodeInit, opened: AsyncDisposableStack): Promise<Omit<SoukNode, typeof Symbol.asyncDispose>> {
  const { identity } = init
  const { signer } = identity
  const now = init.now ?? Date.now
  const startedAtMs = now()
  const bus = createEventBus()
  const onProblem = (problem: { code: string; message: string }): void => {
    bus.emit({ type: 'problem', ...problem })
    init.onError?.(new NodeError('refused', `${problem.code}: ${problem.message}`))
  }
  const onError = (error: unknown): void => {
    const { code = 'internal', message = String(error) } = error as { code?: string; message?: string }
    onProblem({ code, message })
  }
  const closing = new AbortController()
  /** For what goes on by itself: that the closing stopped it is nothing to tell. */
  const onBackgroundError = (error: unknown): void => {
    if (!closing.signal.aborted) onError(error)
  }
  const install = await openInstall(init.directory)
  const storage = opened.use(await createStorage({ directory: install.storeDirectory, now }))
  const { records } = storage
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const wallet = walletAddress(identity.walletKey)

  const trust = async (author: Uint8Array): Promise<void> => {
    if ((await records.trust(author)) > 0) network.askSoon()
  }
  const acquaintances = await openAcquaintances(
    { store: storage.sublevel('acquaintances', { values: 'bytes' }) },
    {
      dids: [identity.did, ...(init.trust?.curators ?? [])],
      onNew: (author) => void trust(author).catch(onBackgroundError)
    }
  )
  const network = opened.use(await openNetwork(init, { storage, acquaintances, seed: install.peerSeed }))
  const directory = opened.use(
    await createFeedbackDirectory(
      {
        libp2p: network.libp2p,
        dht: network.libp2p.services.dht,
        store: storage.sublevel('located-sets', { values: 'bytes' }),
        guard: network.guard
      },
      { now }
    )
  )
  const images = opened.use(lazyImages({ network, storage, directory: install.blocksDirectory }))
  const prover = createProver({
    signal: closing.signal,
    onLong: (bits) =>
      onProblem({ code: 'long-work', message: `${bits} bits of work take a while: what you publish follows` })
  })
  const publisher = createPublisher(
    { records, network, prover, signer },
    { now, market, extraWorkBits: init.network?.extraWorkBits }
  )

  const reachOf = async (did: Did): Promise<Reachable> => {
    const content = await profiles.contentOf(did)
    if (content === undefined) throw new NodeError('no-profile', `no profile of ${did} has come yet`)
    return content
  }
  /** Who writes to a prekey that is gone is answered with the profile that names its successor. */
  const takeProfile = async (bytes: Uint8Array, from: Did): Promise<void> => {
    const record = openRecord(bytes, { nowMs: now() })
    if (record.kind !== 'profile' || didFromKey(record.author) !== from) return
    await records.put(record, { trusted: (author) => acquaintances.has(author) })
  }
  const post: Post = opened.use(
    await createPost(
      {
        libp2p: network.libp2p,
        guard: network.guard,
        signer,
        messageKey: identity.messageKey,
        store: storage.sublevel('contacts', { values: 'bytes' })
      },
      {
        now,
        onError,
        reachOf: (did) => reachOf(did),
        locate: (did, options) => presence.find(did, options),
        profile: async () => (await records.head({ author: signer.publicKey, kind: 'profile', key: '' }))?.bytes,
        onProfile: (bytes, from) => void takeProfile(bytes, from).catch(onBackgroundError),
        onReach: () => void profiles.refresh().catch(onBackgroundError),
        onDelivered: (letter) => mail.acknowledged(letter),
        onMessage: (message) => mail.receive(message),
        seen: (message) => mail.wasProcessed(message)
      }
    )
  )
  const whereabouts = () => ({
    addresses: network.addresses().map(String).slice(0, addressesMax),
    mailboxes: post.mailboxes()
  })
  const presence: Presence = opened.use(
    createPresence(
      {
        libp2p: network.libp2p,
        dht: network.libp2p.services.dht,
        signer,
        store: storage.sublevel('presence', { values: 'bytes' })
      },
      { now, market, whereabouts, onError }
    )
  )
  const profiles: ProfileDesk = createProfiles({
    records,
    publisher,
    author: signer.publicKey,
    nextKeyHash: identity.nextKeyHash,
    prekeys: () => post.prekeys({ expiresAtMs: now() + profileLifeMs }),
    now,
    reach: () => {
      const { addresses, mailboxes } = whereabouts()
      return { peer: { id: network.peerId.toString(), addresses }, mailboxes }
    }
  })
  const pictures = createPictures({
    images: () => images.get(),
    sellersShowing: (cid) => sellersShowing(storage, cid),
    providersOf: (sellers) => providersOf({ profiles, network }, sellers)
  })
  const listings = createListings(
    {
      records,
      publisher,
      pictures,
      revisions: storage.sublevel('own-revisions', { values: 'bytes' }),
      author: signer.publicKey,
      random
    },
    { chains: init.chains ?? [], wallet }
  )
  const chains: Chains = opened.use(
    await createChains(
      { storage, walletKey: identity.walletKey, onFact: (id, fact) => orders.addFact(id, fact), onError },
      { chains: init.chains ?? [], now }
    )
  )
  const company = createCompany(
    { records, profiles, keeper: network.keeper, onError: onBackgroundError },
    { followed: init.trust?.curators ?? [], signal: closing.signal }
  )
  const orders: OrderDesk = opened.use(
    createOrders(
      {
        storage,
        records,
        outbox: storage.outbox,
        listings,
        chains,
        signer,
        wallet,
        random,
        regionOf: async (did) => (await profiles.contentOf(did))?.region,
        onChange: (order) => {
          void acquaintances.meet(order).catch(onError)
          company.follow(order)
          bus.emit({ type: 'order', id: order.id, phase: order.phase })
        },
        onProblem
      },
      { now }
    )
  )
  const mail: Mail = opened.use(
    createMail(
      {
        outbox: storage.outbox,
        inbox: storage.inbox,
        deliver: (letter, options) => post.deliver(letter, options),
        process: (letter, source) => orders.receive(letter, source),
        onState: (letter) => bus.emit({ type: 'letter', ...letter }),
        onProblem
      },
      { now }
    )
  )
  const feedback = opened.use(
    createFeedbacks(
      {
        records,
        publisher,
        directory,
        orders,
        proofOf: createEvidence({ chains }, { rates: init.trust?.rates ?? {} }),
        signer,
        onProblem
      },
      { now, curators: init.trust?.curators ?? [], seed: await seedOf(storage) }
    )
  )

  forwardEvents({ storage, network, bus, mail, profiles, onError: onBackgroundError }, { signal: closing.signal })
  const sync = followSync(network, (state) => bus.emit({ type: 'sync', state }))
  await followOwnProfile(
    { records, profiles, network, onError: onBackgroundError },
    { did: identity.did, now, signal: closing.signal }
  )
  for (const order of await orders.outlines()) {
    await acquaintances.meet(order)
    company.follow(order)
  }
  mail.start()
  chains.start()
  opened.use(
    startHousework(
      { storage, profiles, listings, feedback, orders, images: () => images.peek(), onError: onBackgroundError },
      { now }
    )
  )

  const health = watchHealth({
    storage,
    network,
    // What was published from the future is refused by others until then: it is said again.
    onClockRight: async () => {
      mail.hurry()
      await profiles.refresh()
      await listings.renew({ endsBeforeMs: 0, nowMs: now() })
    },
    onProblem,
    onError: onBackgroundError
  })

  // Last in, first out: listeners are told to stop before what they listen to closes.
  opened.defer(() => closing.abort())

  const status = async (): Promise<StatusView> => ({
    did: identity.did,
    nym: nymFromKey(signer.publicKey),
    name: (await profiles.get(identity.did))?.name,
    peerId: network.peerId.toString(),
    addresses: network.addresses().map(String),
    peers: network.peers().length,
    listings: (await storage.search.query({ limit: 0 })).total,
    records: records.count(),
    searchable: storage.search.indexedSequence >= records.lastSequence,
    sync: sync.now,
    storage: { state: health.storage, imageBytes: await images.bytes() },
    clock: health.clock,
    chains: await Promise.all(chains.all.map((chain) => chain.state())),
    undelivered: storage.outbox.list().length,
    startedAtMs,
    rssBytes: process.memoryUsage.rss()
  })

  return {
    did: identity.did,
    nym: nymFromKey(signer.publicKey),
    listings,
    images: pictures,
    profiles,
    orders,
    letters: createLetters({ outbox: storage.outbox, inbox: storage.inbox, orders }),
    feedback,
    peers: createPeers(network),
    wallet: createWallet({ chains, orders }, { address: wallet }),
    search: createSearches({ search: storage.search, records }),
    status,
    events: (options) => bus.follow(options)
  }
}

async function openNetwork(
  init: NodeInit,
  { storage, acquaintances, seed }: { storage: Storage; acquaintances: Acquaintances; seed: Uint8Array }
): Promise<Network> {
  const { listen, announce, bootstrap, mdns, channels: carried } = init.network ?? {}
  const { records, sync } = storage
  return createNetwork(
    {
      datastore: storage.datastore('libp2p'),
      privateKey: await peerKeyFromSeed(seed),
      records: {
        getBytes: (ids) => records.getBytes(ids),
        get lastSequence() {
          return records.lastSequence
        },
        put: (list) => records.put(list, { trusted: (author) => acquaintances.has(author) }),
        holdsSlot: (slot) => records.holdsSlot(slot),
        putOff: (ids) => records.putOff(ids)
      },
      sync
    },
    {
      role: 'node',
      // The last asks relays that it meets for a place, so that nodes behind a router can be reached.
      listen: listen ?? ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws', '/p2p-circuit'],
      ...(announce === undefined ? {} : { announce }),
      bootstrap: bootstrap ?? [],
      mdns: mdns ?? true,
      carry: { [market]: carried ?? channels },
      price: { trusts: (author) => acquaintances.has(author), fullness: () => records.fullness() },
      ...(init.now === undefined ? {} : { now: init.now })
    }
  )
}

interface LazyImages extends AsyncDisposable {
  get(): Promise<Images>
  /** The images if they are in use; looking does not start them. */
  peek(): Promise<Images> | undefined
  bytes(): Promise<number>
}

/** Images are opened when a picture is first needed: an idle node has no Helia in memory. */
function lazyImages(components: { network: Network; storage: Storage; directory: string }): LazyImages {
  const { network, storage, directory } = components
  let images: Promise<Images> | undefined
  const start = async (): Promise<Images> => {
    const { createImages } = await import('@souk/images')
    const index = storage.sublevel<unknown>('images', { values: 'json' })
    const opened = await createImages(
      { libp2p: network.libp2p, blocks: directory, index: index as never },
      { onMisbehaviour: (peer, code) => network.guard.punish(peer, code) }
    )
    // What was added and never came into a listing is only kept until the next start.
    await opened.release(uploadOwner)
    return opened
  }
  const get = (): Promise<Images> => (images ??= start())
  return {
    get,
    peek: () => images,
    bytes: async () => (images === undefined ? 0 : (await (await images).stats()).pinnedBytes),
    async [Symbol.asyncDispose]() {
      if (images !== undefined) await (await images)[Symbol.asyncDispose]()
    }
  }
}

async function sellersShowing(storage: Storage, cid: CID): Promise<Did[]> {
  const showing = await storage.records.showing(cid.bytes)
  return [...new Set(showing.map(({ author }) => didFromKey(author)))]
}

/** The sellers' own peers first, then whoever is connected: somebody may have looked at the listing before. */
async function providersOf(
  {
    profiles,
    network
  }: {
    profiles: Pick<ProfileDesk, 'contentOf'>
    network: Network
  },
  sellers: readonly Did[]
) {
  const contents = await Promise.all(sellers.map((seller) => profiles.contentOf(seller)))
  const own = contents.flatMap((content) => content?.peers ?? [])
  const others = network.peers().filter((peer) => !own.some(({ id }) => peer.toString() === id))
  return [...own.flatMap(dialTargetOf), ...others.slice(0, 4)]
}

async function seedOf(storage: Storage): Promise<number> {
  const settings = storage.sublevel<number>('settings', { values: 'json' })
  const known = await settings.get('reputation-seed')
  if (known !== undefined) return known
  const seed = randomBytes(4).readUInt32LE()
  await settings.put('reputation-seed', seed)
  return seed
}
