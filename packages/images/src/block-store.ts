import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NotFoundError } from '@libp2p/interface'
import { BaseBlockstore } from 'blockstore-core/base'
import { FsBlockstore } from 'blockstore-fs'
import { NextToLast } from 'blockstore-fs/sharding'
import type { Blockstore, Pair } from 'interface-blockstore'
import type { CID } from 'multiformats/cid'
import { imageCidOf, isSha256, matches } from './cid.ts'
import { ImagesError } from './errors.ts'
import { blockBytesMax } from './limits.ts'

/**
 * A blockstore that believes nothing: bytes are checked against their CID on the way in and on the way out, and a
 * damaged file is deleted, so that it counts as missing and is fetched anew. (Helia serves a flipped byte as it is.)
 */
export interface VerifiedBlockstore extends Blockstore {
  /** The block in one piece, or undefined when it is missing or damaged. */
  read(cid: CID): Promise<Uint8Array | undefined>
  /** Waits until a block is on the disk and not only in the system's cache; does nothing for stores without files. */
  sync(cid: CID): Promise<void>
  /** Blocks found damaged, and deleted, since the start. */
  damaged(): number
}

/** @param blocks - A directory, created when missing, or an open blockstore. */
export function createVerifiedBlockstore(blocks: string | Blockstore): VerifiedBlockstore {
  return typeof blocks === 'string'
    ? new Verified(new FsBlockstore(blocks), (cid) => syncFile(blocks, cid))
    : new Verified(blocks, async () => undefined)
}

class Verified extends BaseBlockstore implements VerifiedBlockstore {
  readonly #child: Blockstore
  readonly #sync: (cid: CID) => Promise<void>
  #damaged = 0

  constructor(child: Blockstore, sync: (cid: CID) => Promise<void>) {
    super()
    this.#child = child
    this.#sync = sync
  }

  async read(cid: CID): Promise<Uint8Array | undefined> {
    if (!(await this.#child.has(cid))) return undefined
    const bytes = await this.#collect(cid)
    if (bytes !== undefined && matches(cid, bytes)) return bytes
    this.#damaged++
    await this.#child.delete(cid)
    return undefined
  }

  sync(cid: CID): Promise<void> {
    return this.#sync(cid)
  }

  damaged(): number {
    return this.#damaged
  }

  override async put(cid: CID, block: Parameters<Blockstore['put']>[1]): Promise<CID> {
    const bytes = await joined(block instanceof Uint8Array ? [block] : block)
    if (bytes === undefined) throw new ImagesError('too-large', `A block is at most ${blockBytesMax} bytes`)
    if (!matches(cid, bytes)) throw new ImagesError('bad-cid', `These bytes are not those of ${cid.toString()}`)
    await this.#child.put(cid, bytes)
    return cid
  }

  override async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const bytes = await this.read(cid)
    if (bytes === undefined) throw new NotFoundError(`No sound block ${cid.toString()} here`)
    yield bytes
  }

  override async has(cid: CID): Promise<boolean> {
    return isSha256(cid) && this.#child.has(cid)
  }

  override async delete(cid: CID): Promise<void> {
    await this.#child.delete(cid)
  }

  override async *getAll(): AsyncGenerator<Pair> {
    // A file is named by its hash alone, and FsBlockstore reads that back as a CIDv0, which is no image's name.
    for await (const { cid, bytes } of this.#child.getAll()) yield { cid: imageCidOf(cid), bytes }
  }

  async #collect(cid: CID): Promise<Uint8Array | undefined> {
    try {
      return await joined(this.#child.get(cid))
    } catch {
      // Deleted or unreadable between `has` and here: missing either way.
      return undefined
    }
  }
}

type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** The chunks in one piece, or undefined as soon as they exceed {@link blockBytesMax}. */
async function joined(chunks: Chunks): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of chunks) {
    length += part.length
    if (length > blockBytesMax) return undefined
    parts.push(part)
  }
  const whole = new Uint8Array(length)
  parts.reduce((at, part) => {
    whole.set(part, at)
    return at + part.length
  }, 0)
  return whole
}

async function syncFile(directory: string, cid: CID): Promise<void> {
  const { dir, file } = new NextToLast().encode(cid)
  const path = join(directory, dir, file)
  await fsync(path)
  // A new name is durable when its directory is.
  if (process.platform !== 'win32') await fsync(dirname(path))
}

async function fsync(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}
