import type { Libp2p, PeerId } from '@libp2p/interface'
import { isPeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Blockstore } from 'interface-blockstore'
import { CID } from 'multiformats/cid'
import { createBlockBroker } from './block-broker.ts'
import { createBlockServer } from './block-server.ts'
import { createVerifiedBlockstore } from './block-store.ts'
import { assertImageCid, cidOf } from './cid.ts'
import { createDecoder } from './decoder.ts'
import type { DecodeOptions } from './decoder.ts'
import { ImagesError } from './errors.ts'
import type { MisbehaviourCode } from './errors.ts'
import { startHelia } from './helia.ts'
import type { RunningHelia } from './helia.ts'
import { createLedger } from './ledger.ts'
import type { ImageIndex, LedgerTotals } from './ledger.ts'
import { blockBytesMax, cacheBytesMax, fetchesMax, fetchesWaitingMax, pinnedBytesMax } from './limits.ts'
import type { ImageMetadata, Picture, PreparedImage } from './pipeline.ts'
import { createQueue } from './queue.ts'

export interface ImagesComponents {
  /** The node's own; `/souk/block/1` is registered on it. */
  libp2p: Libp2p
  /** Directory of the blocks, or an open blockstore. */
  blocks: string | Blockstore
  /** A sublevel for this package alone, string keys, JSON values. */
  index: ImageIndex
}

export interface ImagesInit {
  /** Room for other people's images; see {@link cacheBytesMax}. */
  cacheBytesMax?: number
  /** Room for pinned images; see {@link pinnedBytesMax}. */
  pinnedBytesMax?: number
  /** Speak bitswap as a last resort. Every connected peer then learns which images are looked at. Off by default. */
  bitswap?: boolean
  /** Told of peers who broke `/souk/block/1`, with the code of docs/protocol/images.md. */
  onMisbehaviour?: (peer: PeerId, code: MisbehaviourCode) => void
  /** See {@link providerTimeoutMs}. */
  providerTimeoutMs?: number
  /** How long an asker has; see {@link serveTimeoutMs}. */
  serveTimeoutMs?: number
  /** How much a peer may take at once; see {@link peerBurstBytes}. */
  peerBurstBytes?: number
  /** How long one picture may decode; see {@link decodeTimeoutMs}. */
  decodeTimeoutMs?: number
  /** How long the decoder's process stays when there is nothing to do; see {@link decoderIdleMs}. */
  decoderIdleMs?: number
  /** @default Date.now */
  now?: () => number
}

/** A stored picture, as a listing names it. */
export interface StoredPicture {
  cid: CID
  /** Size of the file. */
  bytes: number
  width: number
  height: number
  mime: 'image/webp'
}

export interface AddedImage {
  image: StoredPicture
  thumbnail: StoredPicture
  thumbhash: Uint8Array
  /** What was taken out: show the user "location data removed" when `stripped.hasGps`. */
  stripped: ImageMetadata
}

export interface AddOptions extends DecodeOptions {
  /** Who holds on to the image, such as `listing/<key>`; {@link Images.release} names it again. */
  owner: string
}

export interface GetOptions {
  /**
   * Who may have it, seller first, then mirrors; a list holds the addresses of one peer. Addresses come from local
   * configuration or from the seller's own signed profile and end in the peer's key: nothing else that a record names
   * is dialled.
   */
  providers?: (PeerId | Multiaddr | Multiaddr[])[]
  /** Most bytes taken. @default {@link blockBytesMax} */
  bytesMax?: number
  signal?: AbortSignal | undefined
}

export interface ImagesStats extends LedgerTotals {
  servedBlocks: number
  servedBytes: number
  /** Blocks found damaged on disk since the start, and dropped. */
  damagedBlocks: number
  /** Whether Helia runs already. */
  isHeliaLoaded: boolean
  /** The decoder's process, while there is one. */
  decoderPid: number | undefined
}

export interface CollectResult {
  /** Blocks of the cache that went over its bound. */
  evictedBlocks: number
  evictedBytes: number
  /** Files without an entry, left by a crash between writing a file and entering it. */
  orphanBlocks: number
}

/** A node's images. See the package's page for an example. */
export interface Images extends AsyncDisposable {
  /** Makes a photograph fit for a listing without storing it. */
  prepare(photo: Uint8Array, options?: DecodeOptions): Promise<PreparedImage>
  /** What a file says about camera and place. */
  describeMetadata(photo: Uint8Array, options?: DecodeOptions): Promise<ImageMetadata>
  /** Prepares a photograph and stores it, pinned for its owner, public, and on disk when this returns. */
  add(photo: Uint8Array, options: AddOptions): Promise<AddedImage>
  /**
   * The bytes of an image as its sender made them: for an `<img>` only, see {@link Images.reencode}. Local first, then
   * the providers, then bitswap where allowed. Always checked, also when read from the disk.
   *
   * @throws {@link ImagesError} `bad-cid`, `too-large`, `busy`, or `not-found` with the failures as cause.
   */
  get(cid: CID, options?: GetOptions): Promise<Uint8Array>
  /**
   * A held image as our own encoder wrote it: WebP, at most {@link imageSideMax}, nothing else in it. Encoded once and
   * kept; an image of our own making is returned as it is.
   *
   * @throws {@link ImagesError} `not-held`, `not-an-image`, `too-many-pixels`, `damaged`
   */
  reencode(cid: CID, options?: DecodeOptions): Promise<Pick<Picture, 'bytes' | 'mime'>>
  /** Keeps a held image from being evicted. Pinning twice for one owner is pinning once. @throws `not-held` */
  pin(cid: CID, owner: string): Promise<void>
  /** Lets go of all that `owner` holds. @returns how many images that were. */
  release(owner: string): Promise<number>
  stats(): Promise<ImagesStats>
  /** Brings the cache within its bound and removes files that no entry names. */
  collect(): Promise<CollectResult>
}

/** Opens a node's images and starts to serve them. Loads neither Helia nor sharp: both wait for their first use. */
export async function createImages(components: ImagesComponents, init: ImagesInit = {}): Promise<Images> {
  const { libp2p } = components
  const now = init.now ?? Date.now
  const store = createVerifiedBlockstore(components.blocks)
  const ledger = createLedger(components.index, {
    now,
    cacheBytesMax: init.cacheBytesMax ?? cacheBytesMax,
    pinnedBytesMax: init.pinnedBytesMax ?? pinnedBytesMax
  })
  const decoder = createDecoder({ timeoutMs: init.decodeTimeoutMs, idleMs: init.decoderIdleMs })
  const { onMisbehaviour } = init
  const broker = createBlockBroker({ libp2p }, { onMisbehaviour, providerTimeoutMs: init.providerTimeoutMs })
  const server = createBlockServer(
    { libp2p, store, ledger },
    { now, onMisbehaviour, timeoutMs: init.serveTimeoutMs, peerBurstBytes: init.peerBurstBytes }
  )
  const places = createQueue({ places: fetchesMax, waitingMax: fetchesWaitingMax })
  /** Changes of files whose loss would matter, one after the other: an eviction may not cross an addition. */
  const files = createQueue({ places: 1, waitingMax: Number.POSITIVE_INFINITY })
  const flights = new Map<string, Promise<Uint8Array>>()
  /** Written, but not entered yet: no orphans. */
  const entering = new Set<string>()
  let helia: Promise<RunningHelia> | undefined
  let closed = false

  function running(): Promise<RunningHelia> {
    if (closed) throw new ImagesError('closed', 'The images are closed')
    helia ??= startHelia({ libp2p, store, broker }, { bitswap: init.bitswap ?? false }).catch((error: unknown) => {
      helia = undefined
      throw error
    })
    return helia
  }

  /** Holds off {@link Images.collect} from files that are not entered yet. */
  async function whileEntering<T>(cids: string[], work: () => Promise<T>): Promise<T> {
    for (const cid of cids) entering.add(cid)
    try {
      return await work()
    } finally {
      for (const cid of cids) entering.delete(cid)
    }
  }

  async function write(cid: CID, bytes: Uint8Array): Promise<void> {
    // Helia takes a file that is there for a good one; reading it first drops a damaged one.
    if ((await store.read(cid)) !== undefined) return
    const { blockstore } = await running()
    await blockstore.put(cid, bytes)
  }

  async function evict(): Promise<{ evictedBlocks: number; evictedBytes: number }> {
    const evicted = await files.run(async () => {
      const rows = await ledger.evict()
      for (const { cid } of rows) await store.delete(CID.parse(cid))
      return rows
    })
    return { evictedBlocks: evicted.length, evictedBytes: evicted.reduce((sum, { bytes }) => sum + bytes, 0) }
  }

  async function enterCached(cid: CID, bytes: Uint8Array, row: { public: boolean; safe?: string }): Promise<void> {
    await ledger.record(cid.toString(), { bytes: bytes.length, ...row })
    await evict()
  }

  async function readHeld(cid: CID): Promise<Uint8Array | undefined> {
    const bytes = await store.read(cid)
    if (bytes !== undefined) await ledger.touch(cid.toString())
    return bytes
  }

  async function fetchBlock(cid: CID, bytesMax: number, options: GetOptions): Promise<Uint8Array> {
    const { blockstore } = await running()
    const providers = (options.providers ?? []).map(addressOf)
    return whileEntering([cid.toString()], async () => {
      try {
        // Helia hands `maxSize` on to its brokers, though its blockstore's type does not say so.
        const request = { providers, maxSize: bytesMax, ...(options.signal && { signal: options.signal }) }
        const bytes = await onlyChunk(blockstore.get(cid, request))
        await enterCached(cid, bytes, { public: true })
        return bytes
      } catch (cause) {
        options.signal?.throwIfAborted()
        throw new ImagesError('not-found', `No provider gave ${cid.toString()}`, { cause })
      }
    })
  }

  /** One fetch an image, however many ask; who asks later and with other providers has a try of its own. */
  async function joinOrFetch(cid: CID, bytesMax: number, options: GetOptions): Promise<Uint8Array> {
    const key = `${cid.toString()}/${bytesMax}`
    const joined = await settled(flights.get(key), options.signal)
    if (joined !== undefined) return joined
    const flight = places.run(() => fetchBlock(cid, bytesMax, options), options.signal)
    flights.set(key, flight)
    try {
      return await flight
    } finally {
      if (flights.get(key) === flight) flights.delete(key)
    }
  }

  async function reencodeForeign(cid: CID, bytes: Uint8Array, options?: DecodeOptions): Promise<Uint8Array> {
    const picture = await decoder.reencode(bytes, options)
    const safe = cidOf(picture.bytes)
    await whileEntering([safe.toString()], async () => {
      await files.run(() => write(safe, picture.bytes))
      await enterCached(safe, picture.bytes, { public: false, safe: safe.toString() })
    })
    await ledger.setSafe(cid.toString(), safe.toString())
    return picture.bytes
  }

  await server.start()
  if (init.bitswap === true) await running()

  return {
    prepare: (photo, options) => decoder.prepare(photo, options),
    describeMetadata: (photo, options) => decoder.describe(photo, options),

    async add(photo, { owner, signal }) {
      const { image, thumbnail, thumbhash, stripped } = await decoder.prepare(photo, { signal })
      const pictures = [image, thumbnail].map((picture) => ({ cid: cidOf(picture.bytes), picture }))
      const entries = pictures.map(({ cid, picture }) => ({ cid: cid.toString(), bytes: picture.bytes.length }))
      await whileEntering(
        entries.map(({ cid }) => cid),
        () =>
          files.run(async () => {
            for (const { cid, picture } of pictures) {
              await write(cid, picture.bytes)
              await store.sync(cid)
            }
            await ledger.own(owner, entries)
          }, signal)
      )
      return { image: stored(image), thumbnail: stored(thumbnail), thumbhash, stripped }
    },

    async get(cid, options = {}) {
      assertImageCid(cid)
      options.signal?.throwIfAborted()
      const bytesMax = Math.min(options.bytesMax ?? blockBytesMax, blockBytesMax)
      const bytes = (await readHeld(cid)) ?? (await joinOrFetch(cid, bytesMax, options))
      if (bytes.length <= bytesMax) return bytes
      throw new ImagesError('too-large', `${cid.toString()} has ${bytes.length} bytes, more than ${bytesMax}`)
    },

    async reencode(cid, options) {
      assertImageCid(cid)
      const safe = (await ledger.get(cid.toString()))?.safe
      const made = safe === undefined ? undefined : await readHeld(CID.parse(safe))
      if (made !== undefined) return { bytes: made, mime: 'image/webp' }
      const bytes = await readHeld(cid)
      if (bytes === undefined) throw new ImagesError('not-held', `${cid.toString()} is not held; get it first`)
      return { bytes: await reencodeForeign(cid, bytes, options), mime: 'image/webp' }
    },

    async pin(cid, owner) {
      assertImageCid(cid)
      await ledger.pin(cid.toString(), owner)
    },

    async release(owner) {
      const released = await ledger.release(owner)
      await evict()
      return released
    },

    async stats() {
      const { blocks: servedBlocks, bytes: servedBytes } = server.served()
      return {
        ...(await ledger.totals()),
        servedBlocks,
        servedBytes,
        damagedBlocks: store.damaged(),
        isHeliaLoaded: helia !== undefined,
        decoderPid: decoder.pid()
      }
    },

    async collect() {
      const evicted = await evict()
      let orphanBlocks = 0
      for await (const { cid } of store.getAll()) {
        const isOrphan = await files.run(async () => {
          const key = cid.toString()
          if ((await ledger.get(key)) !== undefined || entering.has(key)) return false
          await store.delete(cid)
          return true
        })
        if (isOrphan) orphanBlocks++
      }
      return { ...evicted, orphanBlocks }
    },

    async [Symbol.asyncDispose]() {
      closed = true
      await server[Symbol.asyncDispose]()
      await decoder[Symbol.asyncDispose]()
      const started = await helia?.catch(() => undefined)
      await started?.[Symbol.asyncDispose]()
    }
  }
}

function stored({ bytes, width, height, mime }: Picture): StoredPicture {
  return { cid: cidOf(bytes), bytes: bytes.length, width, height, mime }
}

/** A flight's result, or undefined when there is none or it failed. @throws the signal's reason */
async function settled(
  flight: Promise<Uint8Array> | undefined,
  signal: AbortSignal | undefined
): Promise<Uint8Array | undefined> {
  if (flight === undefined) return undefined
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const giveUp = (): void => resolve(undefined)
  signal?.addEventListener('abort', giveUp, { once: true })
  const bytes = await Promise.race([flight.catch(() => undefined), promise])
  signal?.removeEventListener('abort', giveUp)
  signal?.throwIfAborted()
  return bytes
}

/** Helia gives a block in one piece. */
async function onlyChunk(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  for await (const bytes of chunks) return bytes
  throw new Error('Helia gave no bytes')
}

function addressOf(provider: PeerId | Multiaddr | Multiaddr[]): Multiaddr | Multiaddr[] {
  return isPeerId(provider) ? multiaddr(`/p2p/${provider.toString()}`) : provider
}
