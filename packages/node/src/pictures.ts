import type { Images } from '@souk/images'
import type { Did, SoukRecord } from '@souk/records'
import { CID } from 'multiformats/cid'
import { NodeError } from './errors.ts'
import { imageToView, parseCid } from './image.ts'
import { uploadBytesMax } from './limits.ts'
import type { ImageShelf } from './node.ts'

export interface PicturesComponents {
  readonly images: () => Promise<Images>
  /** Whose listings show an image; nothing else is fetched because a peer named it. */
  readonly sellersShowing: (cid: CID) => Promise<Did[]>
  /** Peers to ask for a seller's pictures, most likely first. */
  readonly providersOf: (sellers: readonly Did[]) => Promise<NonNullable<Parameters<Images['get']>[1]>['providers']>
}

/** Pictures, and the keeping of those in one's own listings. */
export interface PictureDesk extends ImageShelf {
  hold(listing: SoukRecord<'listing'>): Promise<void>
  release(listingKey: string): Promise<void>
}

/** Owner of what was added and is in no listing yet; let go of at the next start. */
export const uploadOwner = 'upload'

export function createPictures({ images, sellersShowing, providersOf }: PicturesComponents): PictureDesk {
  return {
    async add(file, { alt, signal } = {}) {
      if (file.length > uploadBytesMax) {
        throw new NodeError('bad-draft', `a picture may have ${uploadBytesMax} bytes, this one has ${file.length}`)
      }
      const added = await (
        await images()
      ).add(file, { owner: uploadOwner, ...(signal === undefined ? {} : { signal }) })
      const { image, thumbnail, thumbhash, stripped } = added
      const view = imageToView({
        image: image.cid,
        thumbnail: thumbnail.cid,
        thumbhash,
        bytes: image.bytes,
        width: image.width,
        height: image.height,
        ...(alt === undefined ? {} : { alt })
      })
      return { ...view, hadLocation: stripped.hasGps }
    },
    async get(text, { signal } = {}) {
      const cid = parseCid(text)
      const shelf = await images()
      const sellers = await sellersShowing(cid)
      if (sellers.length > 0) {
        await shelf.get(cid, {
          providers: (await providersOf(sellers)) ?? [],
          ...(signal === undefined ? {} : { signal })
        })
      }
      return (await shelf.reencode(cid, signal === undefined ? {} : { signal })).bytes
    },
    async hold(listing) {
      const shelf = await images()
      const owner = ownerOf(listing.key)
      await shelf.release(owner)
      for (const { image, thumbnail } of listing.content?.images ?? []) {
        await shelf.pin(CID.decode(image.bytes), owner)
        await shelf.pin(CID.decode(thumbnail.bytes), owner)
      }
    },
    async release(listingKey) {
      await (await images()).release(ownerOf(listingKey))
    }
  }
}

function ownerOf(listingKey: string): string {
  return `listing/${listingKey}`
}
