import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ImagesError } from './errors.ts'
import type { ImagesErrorCode } from './errors.ts'
import { formatOf } from './format.ts'
import {
  blockBytesMax,
  decodeTimeoutMs,
  decoderHeapMb,
  decoderIdleMs,
  decoderWaitingMax,
  photoBytesMax
} from './limits.ts'
import type { ImageMetadata, Picture, PreparedImage } from './pipeline.ts'
import { createQueue } from './queue.ts'

export interface DecodeOptions {
  /** Aborting a running job ends the decoder's process: no pixel is worked on in vain. */
  signal?: AbortSignal | undefined
}

/** Decodes and encodes pictures in a process of its own, started when first needed and ended when idle. */
export interface Decoder extends AsyncDisposable {
  prepare(bytes: Uint8Array, options?: DecodeOptions): Promise<PreparedImage>
  reencode(bytes: Uint8Array, options?: DecodeOptions): Promise<Picture>
  describe(bytes: Uint8Array, options?: DecodeOptions): Promise<ImageMetadata>
  /** Id of the running process, if any. */
  pid(): number | undefined
}

export interface DecoderInit {
  /** See {@link decodeTimeoutMs}. */
  timeoutMs?: number
  /** See {@link decoderIdleMs}. */
  idleMs?: number
}

/** A question to the decoder's process. */
export interface DecoderJob {
  kind: 'prepare' | 'reencode' | 'describe'
  bytes: Uint8Array
}

/** Its answer. */
export type DecoderReply = { ok: true; result: unknown } | { ok: false; code: ImagesErrorCode; message: string }

export function createDecoder(init: DecoderInit = {}): Decoder {
  const queue = createQueue({ places: 1, waitingMax: decoderWaitingMax })
  const idleMs = init.idleMs ?? decoderIdleMs
  let child: ChildProcess | undefined
  let idle: NodeJS.Timeout | undefined
  let closed = false

  function running(): ChildProcess {
    if (child !== undefined) return child
    const started = start()
    started.once('exit', () => {
      if (child === started) child = undefined
    })
    child = started
    return started
  }

  function end(): void {
    clearTimeout(idle)
    child?.kill('SIGKILL')
    child = undefined
  }

  async function run<T>(job: DecoderJob, bytesMax: number, signal?: AbortSignal): Promise<T> {
    assertDecodable(job.bytes, bytesMax)
    return queue.run(async () => {
      if (closed) throw new ImagesError('closed', 'The images are closed')
      signal?.throwIfAborted()
      clearTimeout(idle)
      const limit = timeLimit(init.timeoutMs ?? decodeTimeoutMs)
      const stop = signal === undefined ? limit : AbortSignal.any([limit, signal])
      const worker = running()
      hold(worker)
      try {
        // What the decoder's process sends is of the kind asked for: both ends are this package.
        return (await ask(worker, job, stop)) as T
      } finally {
        if (stop.aborted) end()
        letGo(worker)
        idle = setTimeout(end, idleMs).unref()
      }
    }, signal)
  }

  return {
    prepare: (bytes, options = {}) => run({ kind: 'prepare', bytes }, photoBytesMax, options.signal),
    reencode: (bytes, options = {}) => run({ kind: 'reencode', bytes }, blockBytesMax, options.signal),
    describe: (bytes, options = {}) => run({ kind: 'describe', bytes }, photoBytesMax, options.signal),
    pid: () => child?.pid,
    async [Symbol.asyncDispose]() {
      closed = true
      end()
    }
  }
}

function assertDecodable(bytes: Uint8Array, bytesMax: number): void {
  if (bytes.length > bytesMax) {
    throw new ImagesError('too-large', `${bytes.length} bytes exceed ${bytesMax}; send a smaller file`)
  }
  if (formatOf(bytes) === undefined) {
    throw new ImagesError('not-an-image', 'Not a picture; send JPEG, PNG, WebP, GIF or AVIF')
  }
}

function start(): ChildProcess {
  // Source runs as .ts under type stripping, the built package as .js: the sibling has our own extension.
  const self = fileURLToPath(import.meta.url)
  const entry = fileURLToPath(new URL(`./decoder-process${extname(self)}`, import.meta.url))
  return fork(entry, [], {
    serialization: 'advanced',
    env: {},
    execArgv: [`--max-old-space-size=${decoderHeapMb}`],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc']
  })
}

/** The program may not end while a job runs. */
function hold(child: ChildProcess): void {
  child.ref()
  child.channel?.ref()
}

/** An idle decoder keeps no program alive. */
function letGo(child: ChildProcess): void {
  child.unref()
  child.channel?.unref()
}

async function ask(child: ChildProcess, job: DecoderJob, signal: AbortSignal): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  const onMessage = (reply: DecoderReply): void =>
    reply.ok ? resolve(reply.result) : reject(new ImagesError(reply.code, reply.message))
  const onEnd = (): void => reject(new ImagesError('decoder-crashed', 'The decoder ended while it read this picture'))
  const onAbort = (): void => reject(signal.reason)
  child.once('message', onMessage).once('exit', onEnd).once('error', onEnd)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    child.send(job, (failure) => failure !== null && onEnd())
    return await promise
  } finally {
    child.off('message', onMessage).off('exit', onEnd).off('error', onEnd)
    signal.removeEventListener('abort', onAbort)
  }
}

/** Aborts with an error of ours, unlike `AbortSignal.timeout`, so that a caller's own time limit looks different. */
function timeLimit(ms: number): AbortSignal {
  const controller = new AbortController()
  setTimeout(() => controller.abort(new ImagesError('decode-timeout', `The picture took over ${ms} ms`)), ms).unref()
  return controller.signal
}
