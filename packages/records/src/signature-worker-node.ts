/** The thread behind `signature-thread-node.ts`. Imports by path only: it is started without anybody's conditions. */
import { parentPort } from 'node:worker_threads'
import { verifierKeysMax } from './limits.ts'
import { importKey } from './platform-node.ts'
import { createRecent } from './recent.ts'
import { type ClaimBatch, headBytes, type ThreadReply } from './signature-thread-node.ts'

const port = parentPort
if (port === null) throw new Error('signature-worker-node.ts runs as a worker thread only')

const equations = createRecent<ReturnType<typeof importKey>>(verifierKeysMax)

port.on('message', ({ id, heads, messages, lengths }: ClaimBatch) => {
  const holds = new Uint8Array(lengths.length)
  let at = 0
  lengths.forEach((length, index) => {
    const head = heads.subarray(index * headBytes, (index + 1) * headBytes)
    const message = messages.subarray(at, (at += length))
    const publicKey = head.subarray(0, 32)
    const equation = equations.get(String.fromCharCode(...publicKey), () => importKey(publicKey))
    holds[index] = equation?.(head.subarray(32), message) === true ? 1 : 0
  })
  port.postMessage({ id, holds } satisfies ThreadReply, [holds.buffer])
})

port.postMessage('ready' satisfies ThreadReply)
