import type { MultiaddrConnection } from '@libp2p/interface'
import { roundBytesMax } from './limits.ts'

/**
 * Counts what a connection brings in one round of the event loop, and has it wait for the next one when that is much: a
 * socket is read thirty times over before anybody else's turn, and two megabytes of small frames are a tenth of a second.
 *
 * @returns To be told of each piece that comes.
 */
export function inRounds(connection: MultiaddrConnection): (bytes: number) => void {
  const pausable = connection as MultiaddrConnection & Pausable
  let roundBytes = 0
  let isPaused = false
  const nextRound = (): void => {
    roundBytes = 0
    if (!isPaused) return
    isPaused = false
    pausable.sendResume?.()
  }
  return (bytes) => {
    if (roundBytes === 0) setImmediate(nextRound)
    roundBytes += bytes
    if (isPaused || roundBytes < roundBytesMax) return
    isPaused = true
    pausable.sendPause?.()
  }
}

/** Private parts of connections over TCP, and over a server's WebSockets: others cannot wait. */
interface Pausable {
  sendPause?(): void
  sendResume?(): void
}
