import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { ImagesError } from './errors.ts'

const rawCodec = 0x55
const sha256Code = 0x12
const digestBytes = 32

/** Bytes of an image's CID: version, codec, hash code, length, digest. */
export const cidBytes = 4 + digestBytes

/** The CID of an image: CIDv1, raw, sha2-256 of the file's bytes. */
export function cidOf(bytes: Uint8Array): CID {
  return CID.createV1(rawCodec, create(sha256Code, sha256(bytes)))
}

/** The image's CID with the hash of another CID. */
export function imageCidOf(cid: CID): CID {
  return CID.createV1(rawCodec, cid.multihash)
}

/** Whether `bytes` are what a sha2-256 CID of any codec names. */
export function matches(cid: CID, bytes: Uint8Array): boolean {
  if (!isSha256(cid)) return false
  const digest = sha256(bytes)
  return cid.multihash.digest.every((byte, at) => byte === digest[at])
}

/** Whether the CID is hashed by sha2-256 in full: the only hash this store keeps. */
export function isSha256(cid: CID): boolean {
  return cid.multihash.code === sha256Code && cid.multihash.digest.length === digestBytes
}

/** @throws {@link ImagesError} `bad-cid` when this cannot be the CID of an image. */
export function assertImageCid(cid: CID): void {
  if (cid.version === 1 && cid.code === rawCodec && isSha256(cid)) return
  throw new ImagesError('bad-cid', `An image's CID is CIDv1 raw sha2-256; ${cid.toString()} is not`)
}

/** @throws {@link ImagesError} `bad-cid` when the bytes are not exactly the CID of an image. */
export function decodeImageCid(bytes: Uint8Array): CID {
  const isForm = bytes.length === cidBytes && [1, rawCodec, sha256Code, digestBytes].every((b, at) => bytes[at] === b)
  if (!isForm) throw new ImagesError('bad-cid', 'These bytes are not a CIDv1 raw sha2-256')
  return CID.createV1(rawCodec, create(sha256Code, bytes.slice(4)))
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}
