import type { ContentOf } from '@souk/records'
import { CID } from 'multiformats/cid'
import { NodeError } from './errors.ts'

/** One picture of a listing, as plain data. */
export interface ImageView {
  /** CID of the image, a raw block of at most 1 MiB. */
  readonly image: string
  /** CID of the 320-pixel thumbnail. */
  readonly thumbnail: string
  readonly bytes: number
  readonly width: number
  readonly height: number
  /** ThumbHash in base64: 21 or so bytes to show before any block has come. */
  readonly thumbhash: string
  readonly alt?: string | undefined
}

type ImageContent = ContentOf<'listing'>['images'][number]

/** Turns what the API carries into what a record holds. */
export function imageToContent(view: ImageView): ImageContent {
  const { image, thumbnail, thumbhash, bytes, width, height, alt } = view
  const sizes = { bytes, width, height }
  const links = { image: parseCid(image), thumbnail: parseCid(thumbnail) }
  const content = { ...links, ...sizes, thumbhash: Uint8Array.from(atob(thumbhash), (char) => char.charCodeAt(0)) }
  return alt === undefined ? content : { ...content, alt }
}

/** The other way. */
export function imageToView(content: ImageContent): ImageView {
  const { image, thumbnail, thumbhash, bytes, width, height, alt } = content
  const view = { image: image.toString(), thumbnail: thumbnail.toString(), bytes, width, height }
  return { ...view, thumbhash: btoa(String.fromCharCode(...thumbhash)), ...(alt === undefined ? {} : { alt }) }
}

/** @throws {@link NodeError} `bad-draft` when the text is no CID. */
export function parseCid(text: string): CID {
  try {
    return CID.parse(text)
  } catch (cause) {
    throw new NodeError('bad-draft', `"${text.slice(0, 80)}" is not a CID`, { cause })
  }
}
