/** The thread that owns the SQLite index: it answers one call after the other. Imports nothing that is not needed. */
import { parentPort, workerData } from 'node:worker_threads'
import { type MirroredStore, openSqliteIndex } from './search/sqlite-index.ts'
import type { WorkerCall, WorkerReply } from './search/worker-protocol.ts'

const { path, store } = workerData as { path: string; store: MirroredStore }
const port = parentPort
if (port === null) throw new Error('search-worker.ts runs as a worker thread only')

const index = openSqliteIndex(path, store)
port.postMessage({ id: 0, value: index.sequence } satisfies WorkerReply)

port.on('message', (call: WorkerCall) => {
  try {
    port.postMessage({ id: call.id, value: answer(call) } satisfies WorkerReply)
  } catch (error) {
    port.postMessage({
      id: call.id,
      error: error instanceof Error ? error.message : String(error)
    } satisfies WorkerReply)
  }
  if (call.method === 'close') port.close()
})

function answer(call: WorkerCall): unknown {
  switch (call.method) {
    case 'apply':
      return index.apply(call.argument)
    case 'query':
      return index.query(call.argument)
    case 'close':
      return index.close()
  }
}
