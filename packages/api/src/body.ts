import * as z from 'zod'
import { ApiError } from './errors.ts'

/** Reads a file. @throws {@link ApiError} `unsupported-media-type`, `body-too-large`. */
export function readFileBody(request: Request, { bytesMax }: { bytesMax: number }): Promise<Uint8Array> {
  const type = request.headers.get('content-type') ?? ''
  if (/^(application\/octet-stream|image\/[\w.+-]+)$/.test(type)) return readBytes(request, bytesMax)
  throw new ApiError('unsupported-media-type', `send the file as application/octet-stream, not as "${cut(type)}"`)
}

/**
 * Reads JSON. A form can be sent from any page without asking; JSON cannot, so that nothing else is taken for it.
 *
 * @throws {@link ApiError} `unsupported-media-type`, `body-too-large`, `bad-request`.
 */
export async function readJsonBody<T extends z.ZodType>(
  request: Request,
  { shape, bytesMax }: { shape: T; bytesMax: number }
): Promise<z.output<T>> {
  const type = request.headers.get('content-type') ?? ''
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new ApiError('unsupported-media-type', `send JSON as application/json, not as "${cut(type)}"`)
  }
  return parse(parseJson(await readBytes(request, bytesMax)), { shape, where: 'body' })
}

/** @throws {@link ApiError} `bad-request`, which names the field that is wrong. */
export function parse<T extends z.ZodType>(value: unknown, { shape, where }: { shape: T; where: string }): z.output<T> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const field = [where, ...(issue?.path ?? [])].map(String).join('.')
  throw new ApiError('bad-request', `${field}: ${issue?.message ?? 'is malformed'}`)
}

/** Stops at the bound, whether the length was announced or not. */
async function readBytes(request: Request, bytesMax: number): Promise<Uint8Array> {
  const tooLarge = (): ApiError => new ApiError('body-too-large', `a body may have at most ${bytesMax} bytes here`)
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body ?? []) {
    length += chunk.length
    if (length > bytesMax) throw tooLarge()
    chunks.push(chunk)
  }
  return join(chunks, length)
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new ApiError('bad-request', 'the body is not JSON in UTF-8', { cause })
  }
}

function cut(type: string): string {
  return type.slice(0, 60)
}
