import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the parts of one installation live. */
export interface Install {
  readonly storeDirectory: string
  readonly blocksDirectory: string
  /** 32 bytes: the key of this installation among peers, which is not the identity of its user. */
  readonly peerSeed: Uint8Array
}

/** Makes a node's folder, for its owner alone, or opens the one that is there. */
export async function openInstall(directory: string): Promise<Install> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
  return {
    storeDirectory: join(directory, 'store'),
    blocksDirectory: join(directory, 'blocks'),
    peerSeed: await openSeed(join(directory, 'peer.key'))
  }
}

async function openSeed(path: string): Promise<Uint8Array> {
  try {
    const seed = new Uint8Array(await readFile(path))
    if (seed.length === 32) return seed
    throw new TypeError(
      `${path} does not hold a key of 32 bytes; restore it from a backup, or delete it to get a new one`
    )
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error
  }
  const seed = new Uint8Array(randomBytes(32))
  await writeFile(path, seed, { mode: 0o600, flag: 'wx' })
  return seed
}
