import { randomBytes } from 'node:crypto'
import { StorageError } from './errors.ts'
import type { LevelDatabase, StorageOp, Tables } from './tables.ts'

/**
 * One step from a schema to the next, as data: what it changes is written in one batch with the new version, so that
 * a crash in between repeats it.
 */
export interface Migration {
  /** The version that holds afterwards. */
  readonly to: number
  /** The changes that lead there; reads, does not write. */
  readonly ops: (tables: Tables) => Promise<readonly StorageOp[]>
}

/** The schema that this version of the software writes. */
export const schemaVersion = 1

/** All steps since the first release, in order. */
export const migrations: readonly Migration[] = []

/**
 * Brings a database to the newest schema.
 *
 * @returns Its epoch: drawn when the database was made, it tells peers whether sequence numbers go on.
 * @throws {@link StorageError} `newer-schema` when later software wrote it: its meaning is unknown here.
 */
export async function openSchema(
  level: LevelDatabase,
  tables: Tables,
  { version = schemaVersion, steps = migrations }: { version?: number; steps?: readonly Migration[] } = {}
): Promise<string> {
  const found = (await tables.meta.get('schema')) as number | undefined
  if (found === undefined) return create(level, tables, version)
  if (found > version) {
    throw new StorageError('newer-schema', `the store has schema ${found}, this software knows ${version}; update it`)
  }
  for (const step of steps.filter(({ to }) => to > found && to <= version)) {
    const ops: StorageOp[] = [...(await step.ops(tables)), put(tables, 'schema', step.to)]
    await level.batch(ops as never, { sync: true } as object)
  }
  return (await tables.meta.get('epoch')) as string
}

async function create(level: LevelDatabase, tables: Tables, version: number): Promise<string> {
  const epoch = randomBytes(8).toString('hex')
  const ops = [put(tables, 'schema', version), put(tables, 'epoch', epoch)]
  await level.batch(ops as never, { sync: true } as object)
  return epoch
}

function put(tables: Tables, key: string, value: number | string): StorageOp {
  return { type: 'put', sublevel: tables.meta, key, value }
}
