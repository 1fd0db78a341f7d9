/**
 * What happens to pixels. Runs in the decoder's process only (see `decoder.ts`): importing this file loads libvips.
 */
import sharp from 'sharp'
import type { Metadata, OutputInfo } from 'sharp'
import { rgbaToThumbHash } from 'thumbhash'
import { ImagesError } from './errors.ts'
import { summariseExif } from './exif.ts'
import {
  blockBytesMax,
  imageSideMax,
  photoPixelsMax,
  qualities,
  receivedPixelsMax,
  shrinkFactor,
  thumbhashSideMax,
  thumbnailBytesMax,
  thumbnailSideMax
} from './limits.ts'

/** An encoded picture. The format is always WebP. */
export interface Picture {
  bytes: Uint8Array
  width: number
  height: number
  mime: 'image/webp'
}

/** What a photograph carries beside its pixels; all of it is gone from what {@link prepareImage} returns. */
export interface ImageMetadata {
  format: string
  /** As it is looked at, orientation applied. */
  width: number
  height: number
  hasExif: boolean
  /** A place, in EXIF or in XMP. */
  hasGps: boolean
  hasXmp: boolean
  hasIptc: boolean
  hasIcc: boolean
  /** Maker and model, printable ASCII, when EXIF names them. */
  camera?: string
}

/** A photograph made fit for a listing, and what was taken out of it. */
export interface PreparedImage {
  image: Picture
  thumbnail: Picture
  /** About 21 bytes; see https://evanw.github.io/thumbhash/ */
  thumbhash: Uint8Array
  stripped: ImageMetadata
}

/**
 * Leaves libvips only the loaders that we want. An allow-list: SVG, PDF and Magick are on by default, and so would be
 * whatever a later version adds.
 */
export function restrictLoaders(): void {
  sharp.concurrency(1)
  sharp.cache(false)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpeg',
      'VipsForeignLoadPng',
      'VipsForeignLoadWebp',
      'VipsForeignLoadNsgif',
      'VipsForeignLoadHeif'
    ]
  })
}

/** Photograph in; upright sRGB WebP of bounded size without metadata, its thumbnail and its thumbhash out. */
export async function prepareImage(bytes: Uint8Array): Promise<PreparedImage> {
  const stripped = await describeImage(bytes)
  const pixels = await decode(bytes, photoPixelsMax)
  return {
    image: await encodeWithin(pixels, { sideMax: imageSideMax, bytesMax: blockBytesMax }),
    thumbnail: await encodeWithin(pixels, { sideMax: thumbnailSideMax, bytesMax: thumbnailBytesMax }),
    thumbhash: await thumbhashOf(pixels),
    stripped
  }
}

/** Another person's image in, the same picture written by our own encoder out. Takes nothing but WebP. */
export async function reencodeImage(bytes: Uint8Array): Promise<Picture> {
  const { format } = await metadataOf(bytes, receivedPixelsMax)
  if (format !== 'webp') throw new ImagesError('not-an-image', `A published image is WebP, this is ${format}`)
  const pixels = await decode(bytes, receivedPixelsMax)
  return encodeWithin(pixels, { sideMax: imageSideMax, bytesMax: blockBytesMax })
}

/** What a file says about its maker and place, for telling the user what will be left out. */
export async function describeImage(bytes: Uint8Array): Promise<ImageMetadata> {
  const metadata = await metadataOf(bytes, photoPixelsMax)
  const exif = metadata.exif === undefined ? undefined : summariseExif(metadata.exif)
  const hasXmpGps = metadata.xmp?.includes('GPSLatitude') ?? false
  return {
    format: metadata.format,
    width: metadata.autoOrient.width,
    height: metadata.autoOrient.height,
    hasExif: exif !== undefined,
    hasGps: (exif?.hasGps ?? false) || hasXmpGps,
    hasXmp: metadata.xmp !== undefined,
    hasIptc: metadata.iptc !== undefined,
    hasIcc: metadata.icc !== undefined,
    ...(exif?.camera === undefined ? {} : { camera: exif.camera })
  }
}

interface Pixels {
  data: Uint8Array
  raw: { width: number; height: number; channels: OutputInfo['channels'] }
}

async function metadataOf(bytes: Uint8Array, pixelsMax: number): Promise<Metadata> {
  const metadata = await refusing(() => sharp(bytes, { limitInputPixels: pixelsMax, failOn: 'error' }).metadata())
  const pixels = metadata.width * metadata.height
  if (pixels > pixelsMax) {
    throw new ImagesError('too-many-pixels', `${metadata.width} × ${metadata.height} px exceeds ${pixelsMax} pixels`)
  }
  return metadata
}

/** Decodes once, upright and at most {@link imageSideMax}; image, thumbnail and thumbhash are cut from the result. */
async function decode(bytes: Uint8Array, pixelsMax: number): Promise<Pixels> {
  const { data, info } = await refusing(() =>
    sharp(bytes, { limitInputPixels: pixelsMax, failOn: 'error', pages: 1 })
      .autoOrient()
      .resize({ width: imageSideMax, height: imageSideMax, fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
  )
  return { data, raw: { width: info.width, height: info.height, channels: info.channels } }
}

async function encodeWithin(pixels: Pixels, bounds: { sideMax: number; bytesMax: number }): Promise<Picture> {
  for (let side = bounds.sideMax; ; side = Math.floor(side * shrinkFactor)) {
    for (const quality of qualities) {
      const { data, info } = await sharp(pixels.data, { raw: pixels.raw })
        .resize({ width: side, height: side, fit: 'inside', withoutEnlargement: true })
        .webp({ quality, effort: 4 })
        .toBuffer({ resolveWithObject: true })
      if (data.length > bounds.bytesMax) continue
      return { bytes: new Uint8Array(data), width: info.width, height: info.height, mime: 'image/webp' }
    }
  }
}

async function thumbhashOf(pixels: Pixels): Promise<Uint8Array> {
  const { data, info } = await sharp(pixels.data, { raw: pixels.raw })
    .resize({ width: thumbhashSideMax, height: thumbhashSideMax, fit: 'inside', withoutEnlargement: true })
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return rgbaToThumbHash(info.width, info.height, data)
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    if (message.includes('pixel limit')) throw new ImagesError('too-many-pixels', message, { cause })
    if (message.includes('unsupported image format')) throw new ImagesError('not-an-image', message, { cause })
    throw new ImagesError('damaged', `The picture does not decode: ${message}`, { cause })
  }
}
