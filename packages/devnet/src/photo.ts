import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { base32upper } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import sharp from 'sharp'
import { hold } from './story.ts'

/** What a picture says about camera, place and time. */
export interface Traces {
  readonly camera: boolean
  readonly place: boolean
}

export async function tracesIn(bytes: Uint8Array): Promise<Traces> {
  const { exif, xmp, iptc, icc } = await sharp(bytes).metadata()
  return {
    camera: [exif, xmp, iptc, icc].some((part) => part !== undefined),
    place: exif !== undefined && gpsPointers.some((pointer) => exif.includes(Buffer.from(pointer)))
  }
}

/** Tag 0x8825, the pointer to the GPS directory, in either byte order (Exif 2.32 section 4.6.3). */
const gpsPointers = [
  [0x25, 0x88],
  [0x88, 0x25]
]

/**
 * A picture's block as a node has it on its disk, below the interface that would check it.
 *
 * @param home - The person's home.
 * @throws DevnetError `not-as-expected` when its SHA-256 is not the one that the signed listing links.
 */
export async function readBlock(home: string, cid: string): Promise<Uint8Array> {
  const { multihash } = CID.parse(cid)
  const name = base32upper.encode(multihash.bytes)
  const bytes = new Uint8Array(await readFile(join(home, 'node', 'blocks', name.slice(-2), `${name}.data`)))
  const digest = createHash('sha256').update(bytes).digest()
  hold(digest.equals(multihash.digest), `${cid} is not the hash of the ${bytes.length} bytes on the disk`)
  return bytes
}
