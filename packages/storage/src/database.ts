import { mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { StorageError } from './errors.ts'
import { StoreLevel } from './store-level.ts'
import { isWholeTable } from './table-file.ts'
import type { LevelDatabase, Reopenable } from './tables.ts'

/** A database that is open, and whether its files had to be repaired first. */
export interface OpenedDatabase {
  readonly level: LevelDatabase & Partial<Reopenable>
  readonly repaired: boolean
}

/**
 * Opens the database on disk. Level itself notices few kinds of damage: without its list of files, or with half of it,
 * it opens, says nothing and deletes the tables that the list no longer names; a table it does not check at all. So
 * the files are looked at first, 350 MB a second.
 *
 * @throws {@link StorageError} `locked` when somebody has it open, `open-failed` for the rest.
 */
export async function openDatabase(path: string): Promise<OpenedDatabase> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw openFailed(path, cause)
  })
  const broken = await brokenTables(path)
  if (broken.length > 0) await putAside(path, broken)
  if (broken.length > 0 || !(await isListSound(path))) return { level: await repairDatabase(path), repaired: true }
  const level = new StoreLevel(path)
  try {
    await level.open()
    return { level, repaired: false }
  } catch (error) {
    if (!isDamage(error)) throw openError(path, error)
  }
  return { level: await repairDatabase(path), repaired: true }
}

/** True for an error that says that files of the database are not what was written. */
function isDamage(error: unknown): boolean {
  const { code, message = '', cause } = (error ?? {}) as { code?: string; message?: string; cause?: unknown }
  if (code === 'LEVEL_CORRUPTION') return true
  // A file that the list of files names, and that is gone.
  if (code === 'LEVEL_IO_ERROR' && /No such file/.test(message)) return true
  return cause !== undefined && isDamage(cause)
}

/** `level` is `classic-level` in Node; its types leave this static function out. */
const repairer = Level as unknown as { repair(location: string): Promise<void> }

/** Level keeps what it can read of broken files, and puts those that it cannot into `lost`. */
async function repairDatabase(path: string): Promise<OpenedDatabase['level']> {
  try {
    await repairer.repair(path)
    const level = new StoreLevel(path)
    await level.open()
    return level
  } catch (error) {
    throw openError(path, error)
  }
}

/** False when the list of files is gone or cut. */
async function isListSound(path: string): Promise<boolean> {
  const names = await readdir(path)
  if (!names.includes('CURRENT')) return !names.some((name) => /^MANIFEST-|\.ldb$/.test(name))
  const current = await readFile(join(path, 'CURRENT'), 'latin1')
  const list = current.trimEnd()
  return current.endsWith('\n') && names.includes(list) && isWholeLog(await readFile(join(path, list)))
}

async function brokenTables(path: string): Promise<string[]> {
  const tables = (await readdir(path)).filter((name) => name.endsWith('.ldb'))
  const broken: string[] = []
  for (const name of tables) if (!isWholeTable(await readFile(join(path, name)))) broken.push(name)
  return broken
}

/** Into the folder where Level's own repair puts what it cannot read: nothing is thrown away. */
async function putAside(path: string, names: readonly string[]): Promise<void> {
  await mkdir(join(path, 'lost'), { recursive: true, mode: 0o700 })
  for (const name of names) await rename(join(path, name), join(path, 'lost', name))
}

/** LevelDB, log_format.md: blocks of so many bytes, records in them with a head of seven. */
const [logBlockBytes, logHeadBytes] = [32_768, 7]

/** True when the last record of a log is there to its end, and it has one. */
function isWholeLog(log: Uint8Array): boolean {
  let at = 0
  while (at < log.length) {
    const left = logBlockBytes - (at % logBlockBytes)
    // Less than a head is left of the block: it is filled with zeros.
    if (left < logHeadBytes) at += left
    else at += logHeadBytes + ((log[at + 4] ?? 0) | ((log[at + 5] ?? 0) << 8))
  }
  return log.length > 0 && at === log.length
}

function openError(path: string, error: unknown): StorageError {
  if (codeOf(error) !== 'LEVEL_LOCKED') return openFailed(path, error)
  const hint = 'a node is running on it: use that one, or stop it first'
  return new StorageError('locked', `the store at ${path} is open already; ${hint}`, { cause: error })
}

function openFailed(path: string, cause: unknown): StorageError {
  const reason = reasonOf(cause)
  return new StorageError('open-failed', `the store at ${path} does not open: ${reason}`, { cause })
}

/** Level wraps what went wrong. */
function codeOf(error: unknown): string | undefined {
  const { code, cause } = error as { code?: string; cause?: unknown }
  return code === 'LEVEL_DATABASE_NOT_OPEN' && cause !== undefined ? codeOf(cause) : code
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as { message: string; cause?: unknown }
  return cause === undefined ? message : reasonOf(cause)
}
