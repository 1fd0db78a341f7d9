import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import sharp from 'sharp'
import { thumbHashToRGBA } from 'thumbhash'
import { describe, expect, test } from 'vitest'
import { blockBytesMax, cidOf } from '../src/index.ts'
import { address, photograph, startNode, webp } from './nodes.ts'

async function files(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** Flips one bit in the middle of every block file. */
async function damage(directory: string): Promise<void> {
  for (const file of await files(directory)) {
    const bytes = await readFile(file)
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(file, bytes)
  }
}

describe('adding', () => {
  test('a photograph becomes two raw blocks and a thumbhash, and loses camera and place', async () => {
    await using node = await startNode()
    const added = await node.images.add(await photograph(), { owner: 'listing/a' })
    expect(added.stripped).toMatchObject({ hasExif: true, hasGps: true, hasIcc: true, camera: 'Acme Pocket 3' })
    expect(added.image).toMatchObject({ width: 1600, height: 1200, mime: 'image/webp' })
    expect(added.thumbnail).toMatchObject({ width: 320, height: 240, mime: 'image/webp' })
    expect(added.thumbhash.length).toBeLessThanOrEqual(32)
    const { w, h } = thumbHashToRGBA(added.thumbhash)
    expect(w / h).toBeCloseTo(4 / 3, 0)
    for (const { cid, bytes: size } of [added.image, added.thumbnail]) {
      const bytes = await node.images.get(cid)
      expect(bytes.length).toBe(size)
      expect(cidOf(bytes).equals(cid)).toBe(true)
      expect(cid.toString()).toMatch(/^bafkrei/)
      const metadata = await sharp(bytes).metadata()
      expect(metadata).toMatchObject({ format: 'webp', space: 'srgb' })
      for (const kind of ['exif', 'icc', 'xmp', 'iptc', 'orientation'] as const) expect(metadata[kind]).toBeUndefined()
      expect(Buffer.from(bytes).includes('Acme')).toBe(false)
    }
  })

  test('a picture smaller than a thumbnail is one block, counted once', async () => {
    await using node = await startNode()
    const { image, thumbnail } = await node.images.add(await webp(40, 30, '#123'), { owner: 'listing/a' })
    expect(image.cid.equals(thumbnail.cid)).toBe(true)
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 1, pinnedBytes: image.bytes })
    expect(await node.images.release('listing/a')).toBe(1)
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 0, pinnedBytes: 0, cachedBlocks: 1 })
  })

  test('what is added is there after a restart', async () => {
    await using node = await startNode()
    const { image } = await node.images.add(await photograph(), { owner: 'listing/a' })
    const images = await node.reopen()
    expect(await images.stats()).toMatchObject({ pinnedBlocks: 2, isHeliaLoaded: false })
    expect((await images.get(image.cid)).length).toBe(image.bytes)
  })

  test('own images have a room of their own', async () => {
    await using node = await startNode({ pinnedBytesMax: 1000 })
    const photo = await photograph()
    await expect(node.images.add(photo, { owner: 'listing/a' })).rejects.toMatchObject({ code: 'quota-exceeded' })
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 0, cachedBlocks: 0 })
    expect(await node.images.collect()).toMatchObject({ orphanBlocks: 2 })
    expect(await files(node.blocks)).toEqual([])
  })

  test('an aborted addition leaves nothing behind', async () => {
    await using node = await startNode()
    const controller = new AbortController()
    const adding = node.images.add(await photograph(), { owner: 'listing/a', signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    await expect(adding).rejects.toThrow('changed my mind')
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 0, decoderPid: undefined })
  })

  test('a damaged file of an own image is written anew', async () => {
    await using node = await startNode()
    const photo = await photograph()
    const { image } = await node.images.add(photo, { owner: 'listing/a' })
    await damage(node.blocks)
    await node.images.add(photo, { owner: 'listing/a' })
    expect((await node.images.get(image.cid)).length).toBe(image.bytes)
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 2, damagedBlocks: 2 })
  })
})

describe('fetching', () => {
  test('the block comes from the seller by peer id or address, and is kept', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    const { image, thumbnail } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    const bytes = await buyer.images.get(thumbnail.cid, { providers: [address(seller.libp2p)] })
    expect(bytes.length).toBe(thumbnail.bytes)
    expect((await buyer.images.get(image.cid, { providers: [seller.libp2p.peerId] })).length).toBe(image.bytes)
    expect(await buyer.images.stats()).toMatchObject({ cachedBlocks: 2, pinnedBlocks: 0 })
    expect(await seller.images.stats()).toMatchObject({ servedBlocks: 2, servedBytes: image.bytes + thumbnail.bytes })
    await seller.libp2p.stop()
    expect((await buyer.images.get(image.cid)).length).toBe(image.bytes)
  })

  test('serving needs neither Helia nor the decoder', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    const images = await seller.reopen()
    expect((await buyer.images.get(image.cid, { providers: [address(seller.libp2p)] })).length).toBe(image.bytes)
    expect(await images.stats()).toMatchObject({ servedBlocks: 1, isHeliaLoaded: false, decoderPid: undefined })
  })

  test('a mirror that keeps the image serves it when the seller is gone', async () => {
    await using seller = await startNode({ providerTimeoutMs: 500 })
    await using mirror = await startNode()
    await using buyer = await startNode({ providerTimeoutMs: 2000 })
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    const gone = address(seller.libp2p)
    await mirror.images.get(image.cid, { providers: [gone] })
    await seller.libp2p.stop()
    const bytes = await buyer.images.get(image.cid, { providers: [gone, address(mirror.libp2p)] })
    expect(bytes.length).toBe(image.bytes)
    expect(buyer.blamed).toEqual([])
  })

  test('a flipped byte on the disk is neither shown nor served, and mends itself', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    await using third = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    const providers = [address(seller.libp2p)]
    await buyer.images.get(image.cid, { providers })
    await damage(buyer.blocks)
    const viaBuyer = third.images.get(image.cid, { providers: [address(buyer.libp2p)] })
    await expect(viaBuyer).rejects.toMatchObject({ code: 'not-found' })
    await expect(buyer.images.get(image.cid)).rejects.toMatchObject({ code: 'not-found' })
    const bytes = await buyer.images.get(image.cid, { providers })
    expect(cidOf(bytes).equals(image.cid)).toBe(true)
    expect(await buyer.images.stats()).toMatchObject({ damagedBlocks: 1, cachedBlocks: 1 })
    expect(third.blamed).toEqual([])
  })

  test('a hundred callers for one image cost one transfer', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    const providers = [address(seller.libp2p)]
    const all = await Promise.all(Array.from({ length: 100 }, () => buyer.images.get(image.cid, { providers })))
    expect(all.every((bytes) => bytes.length === image.bytes)).toBe(true)
    expect(await seller.images.stats()).toMatchObject({ servedBlocks: 1 })
  })

  test('bytesMax holds for local and for remote images', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    const tight = { providers: [address(seller.libp2p)], bytesMax: image.bytes - 1 }
    await expect(buyer.images.get(image.cid, tight)).rejects.toMatchObject({ code: 'not-found' })
    await expect(seller.images.get(image.cid, tight)).rejects.toMatchObject({ code: 'too-large' })
    expect(buyer.blamed).toEqual([])
  })

  test('bitswap, where allowed, finds what no provider gave, and is heard by nobody otherwise', async () => {
    await using seller = await startNode({ bitswap: true })
    await using open = await startNode({ bitswap: true })
    await using quiet = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    await open.libp2p.dial(address(seller.libp2p))
    await quiet.libp2p.dial(address(seller.libp2p))
    const bytes = await open.images.get(image.cid)
    expect(bytes.length).toBe(image.bytes)
    expect(await seller.images.stats()).toMatchObject({ servedBlocks: 0 })
    await expect(quiet.images.get(image.cid)).rejects.toMatchObject({ code: 'not-found' })
    expect(quiet.libp2p.getProtocols().some((protocol) => protocol.includes('bitswap'))).toBe(false)
  })

  test('the direct way is taken before bitswap is asked', async () => {
    await using seller = await startNode({ bitswap: true })
    await using buyer = await startNode({ bitswap: true })
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    await buyer.images.get(image.cid, { providers: [address(seller.libp2p)] })
    expect(await seller.images.stats()).toMatchObject({ servedBlocks: 1, servedBytes: image.bytes })
  })
})

/** Puts `count` foreign images of about the same size into `buyer`'s cache, oldest first. */
async function fill(count: number, cacheBytesMax: number) {
  let nowMs = 1_800_000_000_000
  const seller = await startNode()
  const buyer = await startNode({ cacheBytesMax, now: () => (nowMs += 3_600_000) })
  const cids = []
  for (let at = 0; at < count; at++) {
    const { image } = await seller.images.add(await photograph({ width: 330, height: 300, seed: `#${100 + at}` }), {
      owner: 'listing/a'
    })
    await buyer.images.get(image.cid, { providers: [address(seller.libp2p)] })
    cids.push(image.cid)
  }
  await seller[Symbol.asyncDispose]()
  return { buyer, cids }
}

const isHeld = (held: Promise<Uint8Array>): Promise<boolean> =>
  held.then(
    () => true,
    () => false
  )

describe('keeping', () => {
  test('the longest unused go first, the used and the pinned stay, and the disk shrinks with them', async () => {
    const { buyer, cids } = await fill(6, 1_000_000)
    await using node = buyer
    const sizes = new Map<string, number>()
    for (const cid of cids) sizes.set(cid.toString(), (await node.images.get(cid)).length)
    const total = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
    await node.images.pin(cids[0]!, 'order/1')
    await node.images.get(cids[1]!)
    const images = await node.reopen({ cacheBytesMax: Math.floor(total / 2) })
    const result = await images.collect()
    expect(result.evictedBlocks).toBeGreaterThanOrEqual(2)
    expect(result.orphanBlocks).toBe(0)
    const held = await Promise.all(cids.map((cid) => isHeld(images.get(cid))))
    expect(held[0]).toBe(true)
    expect(held[1]).toBe(true)
    expect(held[2]).toBe(false)
    const stats = await images.stats()
    expect(stats.cachedBytes).toBeLessThanOrEqual(total / 2)
    const onDisk = await Promise.all((await files(node.blocks)).map((file) => stat(file)))
    expect(onDisk.reduce((sum, { size }) => sum + size, 0)).toBe(stats.cachedBytes + stats.pinnedBytes)
  })

  test('the cache keeps to its bound while images come in', async () => {
    const { buyer } = await fill(5, 3000)
    await using node = buyer
    const stats = await node.images.stats()
    expect(stats.cachedBytes).toBeLessThanOrEqual(3000)
    expect(stats.cachedBlocks).toBeLessThan(5)
    expect(await files(node.blocks)).toHaveLength(stats.cachedBlocks)
  })

  test('two owners hold on to one image until both let go', async () => {
    await using node = await startNode({ cacheBytesMax: 0 })
    const { image } = await node.images.add(await photograph(), { owner: 'listing/a' })
    await node.images.pin(image.cid, 'order/1')
    await node.images.pin(image.cid, 'order/1')
    expect(await node.images.release('listing/a')).toBe(2)
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 1, cachedBlocks: 0 })
    expect((await node.images.get(image.cid)).length).toBe(image.bytes)
    expect(await node.images.release('order/1')).toBe(1)
    await expect(node.images.get(image.cid)).rejects.toMatchObject({ code: 'not-found' })
    expect(await files(node.blocks)).toEqual([])
  })

  test('an owner whose name begins like another, or has slashes, is its own', async () => {
    await using node = await startNode()
    const { image } = await node.images.add(await photograph(), { owner: 'listing/a' })
    await node.images.pin(image.cid, 'listing')
    await node.images.pin(image.cid, 'listing/a/b')
    expect(await node.images.release('listing')).toBe(1)
    expect(await node.images.release('listing/a')).toBe(2)
    expect(await node.images.stats()).toMatchObject({ pinnedBlocks: 1, cachedBlocks: 1 })
  })

  test.each([
    ['', 'bad-owner'],
    ['x'.repeat(257), 'bad-owner'],
    ['\ud800', 'bad-owner']
  ])('owner %j is refused', async (owner, code) => {
    await using node = await startNode()
    await expect(node.images.release(owner)).rejects.toMatchObject({ code })
  })

  test('what is not held cannot be pinned, and only image CIDs are taken', async () => {
    await using node = await startNode()
    const absent = cidOf(new Uint8Array([1, 2, 3]))
    await expect(node.images.pin(absent, 'order/1')).rejects.toMatchObject({ code: 'not-held' })
    await expect(node.images.reencode(absent)).rejects.toMatchObject({ code: 'not-held' })
    const dagPb = CID.createV1(0x70, absent.multihash)
    await expect(node.images.get(dagPb)).rejects.toMatchObject({ code: 'bad-cid' })
    await expect(node.images.pin(dagPb, 'order/1')).rejects.toMatchObject({ code: 'bad-cid' })
    await expect(node.images.reencode(dagPb)).rejects.toMatchObject({ code: 'bad-cid' })
  })
})

describe('showing', () => {
  test('another person’s image is re-encoded once; an own one is served as it is', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    await buyer.images.get(image.cid, { providers: [address(seller.libp2p)] })
    const safe = await buyer.images.reencode(image.cid)
    expect(safe.mime).toBe('image/webp')
    expect(cidOf(safe.bytes).equals(image.cid)).toBe(false)
    expect(await sharp(safe.bytes).metadata()).toMatchObject({ format: 'webp', width: 1600, height: 1200 })
    expect(safe.bytes.length).toBeLessThanOrEqual(blockBytesMax)
    const again = await buyer.images.reencode(image.cid)
    expect(cidOf(again.bytes).equals(cidOf(safe.bytes))).toBe(true)
    expect(cidOf((await seller.images.reencode(image.cid)).bytes).equals(image.cid)).toBe(true)
  })

  test('the copy made for showing is not served to peers', async () => {
    await using seller = await startNode()
    await using buyer = await startNode()
    await using third = await startNode()
    const { image } = await seller.images.add(await photograph(), { owner: 'listing/a' })
    await buyer.images.get(image.cid, { providers: [address(seller.libp2p)] })
    const safe = cidOf((await buyer.images.reencode(image.cid)).bytes)
    const asked = third.images.get(safe, { providers: [address(buyer.libp2p)] })
    await expect(asked).rejects.toMatchObject({ code: 'not-found' })
  })
})
