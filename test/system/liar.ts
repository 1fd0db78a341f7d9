/** A relay that says that it keeps letters, and does with them what it likes. */
import { hash, randomBytes } from 'node:crypto'
import { lpStream } from '@libp2p/utils'
import { decodeCanonical, encodeCanonical } from '@souk/records'
import type { Stranger } from './stranger.ts'

/**
 * What it does for those who come to collect; whoever leaves a letter is always told that it is kept.
 *
 * - `empty`: nothing has ever come;
 * - `withholds`: lists everything, and gives out nothing;
 * - `half`: knows only of every second letter;
 * - `forges`: gives out noise, and letters of which it has changed a byte;
 * - `others`: gives out all letters that it has, whoever they are for;
 * - `replays`: gives out all letters again that were ever left, newest first;
 * - `unasked`: gives out other letters than it was asked for.
 */
export const lies = ['empty', 'withholds', 'half', 'forges', 'others', 'replays', 'unasked'] as const
export type Lie = (typeof lies)[number]

export interface Liar {
  lie: Lie
  /** Letters that were left with it, so that a test knows that it had a part in it. */
  readonly left: number
  /** Times that somebody has asked it for letters. */
  readonly asked: number
}

interface Question {
  readonly op: string
  readonly envelope?: Uint8Array
  readonly ids?: Uint8Array
}

const bytesMax = 1 << 20

/** Makes a stranger answer `/souk/mailbox/1`, of which docs/protocol/messages.md says how it is spoken. */
export async function serveLies({ network }: Stranger): Promise<Liar> {
  const left: Uint8Array[] = []
  const liar = {
    lie: 'empty' as Lie,
    asked: 0,
    get left() {
      return left.length
    }
  }

  const answer = ({ op, envelope, ids }: Question): object => {
    if (op === 'put' && envelope !== undefined) left.push(new Uint8Array(envelope))
    if (op === 'list') liar.asked++
    if (op === 'put') return { status: 'kept' }
    if (op === 'challenge') return { nonce: new Uint8Array(randomBytes(32)) }
    if (op === 'list') return { ids: joined(shown(liar.lie, left).map(sha256)), more: false }
    return op === 'take' ? { envelopes: given(liar.lie, { left, ids: ids ?? new Uint8Array() }) } : {}
  }

  await network.libp2p.handle('/souk/mailbox/1', async (stream) => {
    const frames = lpStream(stream, { maxDataLength: bytesMax })
    const question = decodeCanonical((await frames.read()).slice(), { bytesMax }) as Question
    await frames.write(encodeCanonical({ v: 1, ...answer(question) }))
    await stream.close()
  })
  return liar
}

/** The letters that it says it has. */
function shown(lie: Lie, left: readonly Uint8Array[]): Uint8Array[] {
  switch (lie) {
    case 'empty':
      return []
    case 'half':
      return left.filter((_, index) => index % 2 === 1)
    case 'forges':
      return left.flatMap((envelope) => [altered(envelope), noiseLike(envelope)])
    case 'replays':
      return left.toReversed()
    case 'withholds':
    case 'others':
    case 'unasked':
      return [...left]
  }
}

/** What it gives out to whoever asks for these. */
function given(lie: Lie, { left, ids }: { left: readonly Uint8Array[]; ids: Uint8Array }): Uint8Array[] {
  if (lie === 'withholds') return []
  if (lie === 'unasked') return left.map(altered)
  const asked = new Set(Array.from({ length: ids.length / 32 }, (_, at) => hexOf(ids.slice(at * 32, at * 32 + 32))))
  return shown(lie, left).filter((envelope) => asked.has(hexOf(sha256(envelope))))
}

/** One bit in the middle, where the sealed box is. */
function altered(envelope: Uint8Array): Uint8Array {
  const copy = envelope.slice()
  const at = copy.length >> 1
  copy.set([(copy[at] ?? 0) ^ 1], at)
  return copy
}

/** The same for the same letter, so that it is found again by its hash. */
function noiseLike(envelope: Uint8Array): Uint8Array {
  return joined([sha256(envelope), sha256(sha256(envelope))])
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
