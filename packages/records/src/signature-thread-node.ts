import { Worker } from 'node:worker_threads'
import { claimsBeforeThread, claimsPerThreadMin, threadHeapMb, threadQuietMs, threadYoungHeapMb } from './limits.ts'
import type { Claim, SignatureThread } from './platform.ts'

/** Claims for the thread, packed: for each 32 bytes of key and 64 of signature; the messages one after the other. */
export interface ClaimBatch {
  readonly id: number
  readonly heads: Uint8Array
  readonly messages: Uint8Array
  readonly lengths: Uint32Array
}

/** What the thread says: that it is ready, or for each claim of a batch 1 where the signature holds. */
export type ThreadReply = 'ready' | { readonly id: number; readonly holds: Uint8Array }

/** Bytes of a claim's key and signature. */
export const headBytes = 96

/**
 * Verifies Ed25519 in a thread of its own, a batch in one message. libuv's pool does the same one by one: each hand-over
 * wakes a thread, and on two cores its four threads push the main thread aside.
 *
 * The thread is started by the first batch, serves from when it is ready, ends itself after a quiet time, and keeps no
 * process alive. Where none can be started, or one has died, there is no second try: the pool is nearly as good.
 */
export function createSignatureThread(): SignatureThread {
  return new WorkerThread()
}

class WorkerThread implements SignatureThread {
  readonly #pending = new Map<number, (holds: Uint8Array | undefined) => void>()
  #worker: Worker | undefined
  #isReady = false
  #isGivenUp = false
  #lastId = 0
  /** Claims since the last quiet time. */
  #offered = 0
  #quiet: NodeJS.Timeout | undefined

  verify(claims: readonly Claim[]): Promise<Uint8Array | undefined> | undefined {
    if (claims.length < claimsPerThreadMin || this.#isGivenUp) return undefined
    this.#quiet ??= setTimeout(() => void this.#end(), threadQuietMs).unref()
    this.#quiet.refresh()
    this.#offered += claims.length
    if (this.#offered >= claimsBeforeThread) this.#worker ??= this.#start()
    const worker = this.#worker
    if (worker === undefined || !this.#isReady) return undefined
    const id = ++this.#lastId
    return new Promise((resolve) => {
      this.#pending.set(id, resolve)
      worker.ref()
      const batch = pack(id, claims)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      worker.postMessage(batch, [batch.heads.buffer, batch.messages.buffer, batch.lengths.buffer] as ArrayBuffer[])
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isGivenUp = true
    clearTimeout(this.#quiet)
    await this.#end()
  }

  #start(): Worker | undefined {
    try {
      const worker = new Worker(workerUrl(), {
        name: 'souk-signatures',
        resourceLimits: { maxOldGenerationSizeMb: threadHeapMb, maxYoungGenerationSizeMb: threadYoungHeapMb },
        // What the main thread was started with (conditions, loaders, inspector) is not for this one.
        execArgv: []
      })
      worker.unref()
      worker.on('message', (reply: ThreadReply) => this.#onReply(reply))
      worker.on('error', () => this.#giveUp(worker))
      worker.on('exit', () => this.#giveUp(worker))
      return worker
    } catch {
      this.#isGivenUp = true
      return undefined
    }
  }

  #onReply(reply: ThreadReply): void {
    if (reply === 'ready') {
      this.#isReady = true
    } else {
      this.#pending.get(reply.id)?.(reply.holds)
      this.#pending.delete(reply.id)
    }
    if (this.#pending.size === 0) this.#worker?.unref()
  }

  #giveUp(worker: Worker): void {
    if (worker !== this.#worker) return
    this.#isGivenUp = true
    void this.#end()
  }

  /** Whoever still waits for an answer gets none. */
  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#isReady = false
    this.#offered = 0
    for (const resolve of this.#pending.values()) resolve(undefined)
    this.#pending.clear()
    await worker?.terminate()
  }
}

function pack(id: number, claims: readonly Claim[]): ClaimBatch {
  const lengths = Uint32Array.from(claims, ({ message }) => message.length)
  const heads = new Uint8Array(claims.length * headBytes)
  const messages = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  claims.forEach(({ publicKey, signature, message }, index) => {
    heads.set(publicKey, index * headBytes)
    heads.set(signature, index * headBytes + 32)
    messages.set(message, at)
    at += message.length
  })
  return { id, heads, messages, lengths }
}

/** The thread's own file, as source or as built. */
function workerUrl(): URL {
  return new URL(
    import.meta.url.endsWith('.ts') ? './signature-worker-node.ts' : './signature-worker-node.js',
    import.meta.url
  )
}
