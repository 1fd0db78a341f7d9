/**
 * Loaded into a process before all else: ends it by SIGKILL at a moment that a test has chosen, named by its number
 * among the moments of its kind. The process itself knows nothing of it. The order is in the file `TEST_FUSE`, read at
 * the start and at each SIGUSR2; without one, nothing happens.
 */
import { readFileSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'
import { Level } from 'level'
import type { Fuse } from './killer.ts'

const path = process.env['TEST_FUSE']
let laid: Fuse | undefined
let left = 0

function read(): void {
  laid = undefined
  try {
    laid = JSON.parse(readFileSync(path ?? '', 'utf8')) as Fuse
    left = laid.count
    // It is for this life of the process only.
    rmSync(path ?? '')
  } catch {
    // There is no order.
  }
}

function burn(at: Fuse['at']): void {
  if (laid?.at !== at) return
  left--
  if (left <= 0) process.kill(process.pid, 'SIGKILL')
}

type Batch = (operations: unknown, options: { sync?: boolean }) => Promise<unknown>

/** Every write that somebody waits for goes through here: orders, letters, one's own records, the journal of payments. */
function watchWrites(database: { _batch: Batch }): void {
  const batch = database._batch
  database._batch = async function (operations, options) {
    if (options.sync !== true) return batch.call(this, operations, options)
    burn('before-write')
    const written = await batch.call(this, operations, options)
    burn('after-write')
    return written
  }
}

type Write = (...given: unknown[]) => boolean

function watchSends(socket: { write: Write }): void {
  const { write } = socket
  socket.write = function (...given) {
    burn('send')
    return write.apply(this, given)
  }
}

if (isMainThread && path !== undefined) {
  read()
  process.on('SIGUSR2', read)
  watchWrites(Level.prototype as unknown as { _batch: Batch })
  watchSends(Socket.prototype as unknown as { write: Write })
}
