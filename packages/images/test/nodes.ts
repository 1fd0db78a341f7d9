/** Real nodes for the tests: libp2p on loopback TCP, blocks and index in a temporary directory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noise } from '@libp2p/noise'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { Level } from 'level'
import { createLibp2p } from 'libp2p'
import sharp from 'sharp'
import { blockProtocol, createImages } from '../src/index.ts'
import type { Images, ImagesInit, MisbehaviourCode } from '../src/index.ts'

export interface TestNode extends AsyncDisposable {
  libp2p: Libp2p
  images: Images
  /** Directory of the blocks. */
  blocks: string
  level: Level<string, unknown>
  /** Whom this node blamed, and for what. */
  blamed: { peer: string; code: MisbehaviourCode }[]
  /** Closes the images and opens them again on the same disk and index. */
  reopen(init?: ImagesInit): Promise<Images>
}

export function startLibp2p(): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() }
  })
}

export async function startNode(init: ImagesInit = {}): Promise<TestNode> {
  const directory = await mkdtemp(join(tmpdir(), 'souk-images-'))
  const blocks = join(directory, 'blocks')
  const level = new Level<string, unknown>(join(directory, 'level'), { valueEncoding: 'json' })
  const index = level.sublevel<string, unknown>('images', { valueEncoding: 'json' })
  const libp2p = await startLibp2p()
  const blamed: TestNode['blamed'] = []
  const open = (more: ImagesInit): Promise<Images> =>
    createImages(
      { libp2p, blocks, index },
      { onMisbehaviour: (peer, code) => blamed.push({ peer: peer.toString(), code }), ...init, ...more }
    )
  const node: TestNode = {
    libp2p,
    images: await open({}),
    blocks,
    level,
    blamed,
    async reopen(more = {}) {
      await node.images[Symbol.asyncDispose]()
      node.images = await open(more)
      return node.images
    },
    async [Symbol.asyncDispose]() {
      await node.images[Symbol.asyncDispose]()
      await libp2p.stop()
      await level.close()
      await rm(directory, { recursive: true, force: true })
    }
  }
  return node
}

/** A peer that answers `/souk/block/1` as it likes. */
export async function startLiar(behave: (stream: Stream) => void | Promise<void>): Promise<Libp2p> {
  const libp2p = await startLibp2p()
  await libp2p.handle(blockProtocol, async (stream) => {
    await behave(stream)
  })
  return libp2p
}

/** A camera's photograph, in the eyes of a parser: EXIF with a GPS directory, an ICC profile, texture. */
export async function photograph(
  options: { width?: number; height?: number; seed?: string } = {}
): Promise<Uint8Array> {
  const { width = 2400, height = 1800, seed = '#7a5c3e' } = options
  const bytes = await sharp({
    create: { width, height, channels: 3, background: seed, noise: { type: 'gaussian', mean: 128, sigma: 12 } }
  })
    .jpeg({ quality: 85 })
    .withIccProfile('p3')
    .withExif({
      IFD0: { Make: 'Acme', Model: 'Pocket 3', Artist: 'Ana', DateTime: '2026:05:01 12:00:00' },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '52/1 31/1 1200/100',
        GPSLongitudeRef: 'E',
        GPSLongitude: '13/1 24/1 3600/100'
      }
    })
    .toBuffer()
  return new Uint8Array(bytes)
}

/** A picture of exactly these pixels as WebP, the way another node's encoder would make it. */
export async function webp(width: number, height: number, background: string): Promise<Uint8Array> {
  return new Uint8Array(
    await sharp({ create: { width, height, channels: 3, background } })
      .webp()
      .toBuffer()
  )
}

export function address(libp2p: Libp2p) {
  const [first] = libp2p.getMultiaddrs()
  if (first === undefined) throw new Error('This node listens nowhere')
  return first
}
