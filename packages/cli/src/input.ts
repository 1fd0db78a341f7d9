import { createReadStream } from 'node:fs'
import { CliError } from './errors.ts'
import { inputBytesMax } from './limits.ts'

/**
 * Reads a file that the person named, `-` being standard input.
 *
 * @throws {@link CliError} `bad-file` when it is not there, no file, or larger than `bytesMax`.
 */
export async function readInput(path: string, options: { readonly bytesMax?: number } = {}): Promise<Uint8Array> {
  const bytesMax = options.bytesMax ?? inputBytesMax
  try {
    return await readStream(path === '-' ? process.stdin : createReadStream(path), bytesMax)
  } catch (cause) {
    throw new CliError('bad-file', `cannot read ${path}: ${(cause as Error).message}`, { cause })
  }
}

/** @throws {@link CliError} `bad-file` also when it is not UTF-8. */
export async function readText(path: string, options: { readonly bytesMax?: number } = {}): Promise<string> {
  const bytes = await readInput(path, options)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new CliError('bad-file', `${path} is not UTF-8 text`, { cause })
  }
}

/** @throws {@link CliError} `bad-file` also when it is not JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path)
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new CliError('bad-file', `${path} is not JSON: ${(cause as Error).message}`, { cause })
  }
}

/** Reads what is left in an open descriptor, as a shell hands over with `3< file`. */
export async function readDescriptor(descriptor: number, options: { readonly bytesMax: number }): Promise<Uint8Array> {
  try {
    return await readStream(createReadStream('', { fd: descriptor }), options.bytesMax)
  } catch (cause) {
    throw new CliError('bad-file', `cannot read descriptor ${descriptor}: ${(cause as Error).message}`, { cause })
  }
}

async function readStream(stream: AsyncIterable<Uint8Array | string>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of stream) {
    const part = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk
    bytes += part.length
    if (bytes > bytesMax) throw new RangeError(`it has more than the ${bytesMax} bytes that are read`)
    chunks.push(part)
  }
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}
