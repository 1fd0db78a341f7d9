import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDecoder } from '../src/decoder.ts'
import type { Decoder } from '../src/decoder.ts'
import { photograph, webp } from './nodes.ts'

let decoder: Decoder
beforeAll(() => {
  decoder = createDecoder()
})
afterAll(() => decoder[Symbol.asyncDispose]())

function text(source: string): Uint8Array {
  return new TextEncoder().encode(source)
}

/** A PNG that says it has these sides, and whose pixels are zeros: 30,000 × 30,000 compress to nothing. */
async function bomb(side: number): Promise<Uint8Array> {
  const pixels = { width: side, height: side, channels: 3, background: '#000' } as const
  const png = sharp({ create: pixels, limitInputPixels: false })
    .toColourspace('b-w')
    .png({ compressionLevel: 9, colours: 2 })
  return new Uint8Array(await png.toBuffer())
}

describe('refusals', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>'
  test.each<[string, Uint8Array]>([
    ['SVG', text(svg)],
    ['SVG after an XML head', text(`<?xml version="1.0"?>${svg}`)],
    ['PDF', text('%PDF-1.7\n1 0 obj\n<< >>\nendobj')],
    ['HTML', text('<!doctype html><script>alert(1)</script>')],
    ['PostScript', text('%!PS-Adobe-3.0 EPSF-3.0\n')],
    ['an ImageMagick script', text('push graphic-context\nfill url(https://example.org)\n')],
    ['nothing', new Uint8Array()],
    ['zeros', new Uint8Array(1000)]
  ])('%s is not an image', async (_, bytes) => {
    await expect(decoder.prepare(bytes)).rejects.toMatchObject({ code: 'not-an-image' })
    expect(decoder.pid()).toBeUndefined()
  })

  test('TIFF, which libvips could read, is not let near it', async () => {
    const tiff = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#123' } })
      .tiff()
      .toBuffer()
    await expect(decoder.prepare(tiff)).rejects.toMatchObject({ code: 'not-an-image' })
  })

  test('SVG behind the first bytes of a PNG does not decode', async () => {
    const disguised = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, ...text(svg)])
    await expect(decoder.prepare(disguised)).rejects.toMatchObject({ name: 'ImagesError' })
  })

  test('a file larger than the bound is refused before it is looked at', async () => {
    const large = new Uint8Array(33_554_433)
    await expect(decoder.prepare(large)).rejects.toMatchObject({ code: 'too-large' })
    await expect(decoder.reencode(new Uint8Array(1_048_577))).rejects.toMatchObject({ code: 'too-large' })
  })

  test('a cut photograph is damaged, and so is a picture whose pixels do not inflate', async () => {
    const photo = await photograph({ width: 800, height: 600 })
    await expect(decoder.prepare(photo.slice(0, photo.length >> 1))).rejects.toMatchObject({ code: 'damaged' })
    const png = await sharp(photo).resize(80).png().toBuffer()
    png.fill(0xff, png.indexOf('IDAT') + 4, png.length - 20)
    await expect(decoder.prepare(png)).rejects.toMatchObject({ code: 'damaged' })
  })

  test('a decompression bomb is refused by its pixels, before they exist', async () => {
    const bytes = await bomb(20_000)
    expect(bytes.length).toBeLessThan(1_000_000)
    await expect(decoder.prepare(bytes)).rejects.toMatchObject({ code: 'too-many-pixels' })
    await expect(decoder.describe(bytes)).rejects.toMatchObject({ code: 'too-many-pixels' })
  })

  test('a received image has the published format and sides', async () => {
    const png = await sharp({ create: { width: 90, height: 90, channels: 3, background: '#123' } })
      .png()
      .toBuffer()
    await expect(decoder.reencode(png)).rejects.toMatchObject({ code: 'not-an-image' })
    await expect(decoder.reencode(await webp(1700, 1600, '#123'))).rejects.toMatchObject({ code: 'too-many-pixels' })
  })
})

describe('preparing', () => {
  test.each(['png', 'webp', 'gif', 'avif', 'jpeg'] as const)('%s is taken', async (format) => {
    const source = sharp({ create: { width: 500, height: 400, channels: 4, background: '#12345680' } })
    const { image, thumbnail, stripped } = await decoder.prepare(await source.toFormat(format).toBuffer())
    expect(image).toMatchObject({ width: 500, height: 400, mime: 'image/webp' })
    expect(thumbnail).toMatchObject({ width: 320, height: 256 })
    expect(stripped).toMatchObject({ hasExif: false, hasGps: false })
  })

  test('the orientation tag is applied, not kept', async () => {
    const halves = await sharp({ create: { width: 400, height: 200, channels: 3, background: '#f00' } })
      .composite([
        { input: { create: { width: 200, height: 200, channels: 3, background: '#00f' } }, left: 200, top: 0 }
      ])
      .jpeg()
      .withMetadata({ orientation: 6 })
      .toBuffer()
    const { image, stripped } = await decoder.prepare(halves)
    expect(image).toMatchObject({ width: 200, height: 400 })
    expect(stripped).toMatchObject({ width: 200, height: 400 })
    const { data } = await sharp(image.bytes).raw().toBuffer({ resolveWithObject: true })
    expect(data[0]).toBeGreaterThan(200)
    expect(data.at(-1)).toBeGreaterThan(200)
  })

  test('a wide-gamut photograph has its colours converted before the profile goes', async () => {
    const srgb = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c04040' } })
      .png()
      .toBuffer()
    const p3 = await sharp(srgb).withIccProfile('p3').png().toBuffer()
    const stored = await sharp(p3, { ignoreIcc: true }).raw().toBuffer()
    const { image } = await decoder.prepare(p3)
    const shown = await sharp(image.bytes).raw().toBuffer()
    expect(Math.abs(stored[0]! - 0xc0)).toBeGreaterThan(6)
    expect(Math.abs(shown[0]! - 0xc0)).toBeLessThanOrEqual(4)
    expect(Math.abs(shown[1]! - 0x40)).toBeLessThanOrEqual(4)
  })

  test('noise, which no codec likes, still fits its bounds', async () => {
    const noisy = sharp({
      create: {
        width: 1600,
        height: 1600,
        channels: 3,
        background: '#888',
        noise: { type: 'gaussian', mean: 128, sigma: 90 }
      }
    })
    const { image, thumbnail } = await decoder.prepare(await noisy.png().toBuffer())
    expect(image.bytes.length).toBeLessThanOrEqual(1_048_576)
    expect(thumbnail.bytes.length).toBeLessThanOrEqual(65_536)
  })

  test('a place in XMP counts as a place', async () => {
    const xmp =
      '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
      '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,31.2N"/></rdf:RDF></x:xmpmeta>'
    const bytes = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#123' } })
      .withXmp(xmp)
      .jpeg()
      .toBuffer()
    expect(await decoder.describe(bytes)).toMatchObject({ hasXmp: true, hasGps: true, hasExif: false })
    const { image } = await decoder.prepare(bytes)
    expect((await sharp(image.bytes).metadata()).xmp).toBeUndefined()
  })
})

describe('the decoder’s process', () => {
  test('ends when idle, and starts again when needed', async () => {
    await using short = createDecoder({ idleMs: 1 })
    const bytes = await webp(20, 20, '#123')
    await short.describe(bytes)
    await expect.poll(() => short.pid()).toBeUndefined()
    expect(await short.describe(bytes)).toMatchObject({ format: 'webp' })
  })

  test('that dies under a picture fails that picture only', async () => {
    await using own = createDecoder()
    const photo = await photograph({ width: 4000, height: 3000 })
    await own.describe(photo)
    const preparing = own.prepare(photo)
    const next = own.describe(photo)
    await Promise.resolve()
    process.kill(own.pid()!, 'SIGKILL')
    await expect(preparing).rejects.toMatchObject({ code: 'decoder-crashed' })
    expect(await next).toMatchObject({ width: 4000 })
  })

  test('is killed when a picture takes too long', async () => {
    await using strict = createDecoder({ timeoutMs: 1 })
    await expect(strict.prepare(await photograph())).rejects.toMatchObject({ code: 'decode-timeout' })
    expect(strict.pid()).toBeUndefined()
  })

  test('serves callers in turn and turns away who would wait too long', async () => {
    await using own = createDecoder()
    const bytes = await webp(20, 20, '#123')
    const all = await Promise.allSettled(Array.from({ length: 40 }, () => own.describe(bytes)))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(33)
    const refused = all.filter((result) => result.status === 'rejected')
    expect(refused.every(({ reason }) => (reason as { code: string }).code === 'busy')).toBe(true)
  })

  test('who waits in line may leave it', async () => {
    await using own = createDecoder()
    const photo = await photograph()
    const controller = new AbortController()
    const first = own.prepare(photo)
    const second = own.prepare(photo, { signal: controller.signal })
    controller.abort(new Error('no more'))
    await expect(second).rejects.toThrow('no more')
    expect((await first).image.width).toBe(1600)
  })

  test('is closed for good', async () => {
    const own = createDecoder()
    await own[Symbol.asyncDispose]()
    await expect(own.describe(await webp(20, 20, '#123'))).rejects.toMatchObject({ code: 'closed' })
  })
})
