import { randomBytes } from 'node:crypto'
import { chmod, open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { RelayError } from './errors.ts'

/** An Ed25519 seed. */
const seedBytes = 32

/** Group and others. */
const othersBits = 0o077

/**
 * The seed of this relay's peer id, made at the first start. The file holds 64 hexadecimal digits and a line end, and
 * belongs to its owner alone: with it, anybody can be this relay.
 *
 * @returns 32 bytes.
 * @throws {@link RelayError} `key-exposed`, `key-damaged`.
 */
export async function loadPeerSeed(path: string): Promise<Uint8Array> {
  const text = await readOwn(path)
  if (text === undefined) return makeSeed(path)
  if (!/^[0-9a-f]{64}\n?$/.test(text)) {
    throw new RelayError('key-damaged', `${path} holds no key; restore it, or delete it to become another peer`)
  }
  return new Uint8Array(Buffer.from(text.trim(), 'hex'))
}

async function readOwn(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path)
    if ((mode & othersBits) !== 0 && process.platform !== 'win32') {
      const octal = (mode & 0o777).toString(8).padStart(4, '0')
      throw new RelayError('key-exposed', `${path} has mode ${octal}: others may read it; run chmod 600 on it`)
    }
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** On the platter, and under its name only when whole: a relay that loses its key loses all who know its address. */
async function makeSeed(path: string): Promise<Uint8Array> {
  const seed = new Uint8Array(randomBytes(seedBytes))
  const draft = `${path}.new`
  const file = await open(draft, 'w', 0o600)
  try {
    await chmod(draft, 0o600)
    await file.writeFile(`${Buffer.from(seed).toString('hex')}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  await syncDirectory(dirname(path))
  return seed
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
