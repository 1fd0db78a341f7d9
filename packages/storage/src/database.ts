import { mkdir } from 'node:fs/promises'
import { Level } from 'level'
import { StorageError } from './errors.ts'
import type { LevelDatabase } from './tables.ts'

/** A database that is open, and whether its files had to be repaired first. */
export interface OpenedDatabase {
  readonly level: LevelDatabase
  readonly repaired: boolean
}

/**
 * Opens the database on disk.
 *
 * @throws {@link StorageError} `locked` when somebody has it open, `open-failed` for the rest.
 */
export async function openDatabase(path: string): Promise<OpenedDatabase> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw openFailed(path, cause)
  })
  const level = new Level<string>(path) as LevelDatabase
  try {
    await level.open()
    return { level, repaired: false }
  } catch (error) {
    if (codeOf(error) !== 'LEVEL_CORRUPTION') throw openError(path, error)
  }
  return { level: await repairDatabase(path), repaired: true }
}

/** `level` is `classic-level` in Node; its types leave this static function out. */
const repairer = Level as unknown as { repair(location: string): Promise<void> }

/** Level keeps what it can read of broken files; what is gone, the check finds and peers bring back. */
async function repairDatabase(path: string): Promise<LevelDatabase> {
  try {
    await repairer.repair(path)
    const level = new Level<string>(path) as LevelDatabase
    await level.open()
    return level
  } catch (error) {
    throw openError(path, error)
  }
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
