import type { PeerId, Stream, StreamHandler } from '@libp2p/interface'
import { readFrames, writeFrames } from '../frame.ts'
import { createTurns, type Turns } from '../gossip/turns.ts'
import { unboundedMessageBytesMax } from '../guard/limits.ts'
import { ProtocolError } from '../protocol-error.ts'
import { answeringTurnMs, answersBytesMax, silentMs } from './limits.ts'

/**
 * What is said to somebody's question; undefined for nothing. Rejects to end the stream, which all that was asked before is
 * answered on.
 */
export type AnswerTo = (peer: PeerId, question: Uint8Array) => Promise<Uint8Array | undefined>

/**
 * Answers what others ask on streams that they open, as long as they keep one: kad-dht reads a byte at a time, with a
 * promise and a list for each, and a signal with a timer for each question. Here a question is read where it lies, those
 * that came together are answered together, and a stream has one timer, which begins anew with each answer.
 *
 * @returns The handler of such streams; rejects when one is to be aborted.
 */
export function createReception(answerTo: AnswerTo): StreamHandler {
  const turns = createTurns(answeringTurnMs)
  return async (stream, { remotePeer }) => {
    const onSilence = (): void => stream.abort(new ProtocolError('timed-out', 'nothing was asked for too long'))
    const silence = setTimeout(onSilence, silentMs).unref()
    try {
      for await (const questions of readFrames(stream, { bytesMax: unboundedMessageBytesMax })) {
        await answerAll(stream, questions, { turns, answerTo: (question) => answerTo(remotePeer, question) })
        silence.refresh()
      }
      await stream.close()
    } finally {
      clearTimeout(silence)
    }
  }
}

interface AnswerAllInit {
  readonly turns: Turns
  readonly answerTo: (question: Uint8Array) => Promise<Uint8Array | undefined>
}

async function answerAll(
  stream: Stream,
  questions: readonly Uint8Array[],
  { turns, answerTo }: AnswerAllInit
): Promise<void> {
  let answers: Uint8Array[] = []
  let bytes = 0
  const write = async (): Promise<void> => {
    const written = answers
    answers = []
    bytes = 0
    if (written.length > 0) await writeFrames(stream, written)
  }
  try {
    for (const question of questions) {
      for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
      const answer = await answerTo(question)
      if (answer === undefined) continue
      answers.push(answer)
      bytes += answer.length
      if (bytes >= answersBytesMax) await write()
    }
  } finally {
    await write()
  }
}
