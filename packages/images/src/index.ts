/**
 * A node's images: photographs become small WebP blocks without a trace of their camera or place, are kept under
 * reference counts within bounds, and travel between peers by their hash.
 *
 * One image is one raw block of at most 1 MiB, so its CID is the SHA-256 of its bytes and whoever has them can give
 * them: the seller, a mirror, any IPFS node. Blocks go through Helia on the node's own libp2p, fetched first over a
 * protocol of ours that asks one peer for one block (docs/protocol/images.md). Pictures are decoded in a process of
 * its own. Neither Helia nor that process is there before its first use, and serving needs neither.
 *
 * @example
 * ```ts
 * const images = await createImages({ libp2p, blocks: '/var/lib/souk/blocks', index: db.sublevel('images') })
 * const { image, thumbnail, thumbhash, stripped } = await images.add(jpeg, { owner: `listing/${key}` })
 * if (stripped.hasGps) console.log('Location data removed')
 *
 * // On another node, with the ids from the listing:
 * const bytes = await images.get(image.cid, { providers: [seller, ...mirrors], signal: AbortSignal.timeout(10_000) })
 * const { bytes: safe, mime } = await images.reencode(image.cid)
 * ```
 */
export { createImages } from './images.ts'
export type {
  AddedImage,
  AddOptions,
  CollectResult,
  GetOptions,
  Images,
  ImagesComponents,
  ImagesInit,
  ImagesStats,
  StoredPicture
} from './images.ts'
export { ImagesError } from './errors.ts'
export type { ImagesErrorCode, MisbehaviourCode } from './errors.ts'
export type { ImageIndex } from './ledger.ts'
export type { DecodeOptions } from './decoder.ts'
export type { ImageMetadata, Picture, PreparedImage } from './pipeline.ts'
export { cidOf } from './cid.ts'
export { blockProtocol } from './block-protocol.ts'
export { blockBytesMax, imageSideMax, thumbnailSideMax } from './limits.ts'
