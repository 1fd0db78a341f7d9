import type { MultiaddrConnection } from '@libp2p/interface'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { roundBytesMax, unsentBytesDefault } from '../src/guard/limits.ts'
import { createMeter, type MeterSink } from '../src/guard/meter.ts'
import { inRounds } from '../src/guard/rounds.ts'

test('who has brought much waits for the next round, who has brought little does not', async () => {
  const [hasty, calm] = [watched(), watched()]
  hasty.brings(roundBytesMax - 1)
  calm.brings(1000)
  expect(hasty.did).toEqual([])
  hasty.brings(1)
  hasty.brings(roundBytesMax)
  expect(hasty.did).toEqual(['pause'])
  await setImmediate()
  expect(hasty.did).toEqual(['pause', 'resume'])
  expect(calm.did).toEqual([])
})

test('each round begins anew', async () => {
  const { brings, did } = watched()
  for (let round = 0; round < 5; round++) {
    brings(roundBytesMax - 1)
    await setImmediate()
  }
  expect(did).toEqual([])
})

test('a WebSocket waits too, and one that cannot goes on', async () => {
  const did: string[] = []
  const brings = (websocket: object): void => {
    const connection = { websocket, onData: () => undefined } as unknown as MultiaddrConnection & {
      onData(data: Uint8Array): void
    }
    createMeter(nobody).trackMultiaddrConnection(connection)
    connection.onData(new Uint8Array(roundBytesMax))
  }
  brings({ pause: () => did.push('pause'), resume: () => did.push('resume') })
  expect(did).toEqual(['pause'])
  await setImmediate()
  expect(did).toEqual(['pause', 'resume'])
  expect(() => brings({})).not.toThrow()
})

const ignore = (): void => undefined
const nobody: MeterSink = {
  unsentBytesMax: unsentBytesDefault,
  onConnectionBytes: ignore,
  onStreamFrame: ignore,
  onAnswer: ignore,
  onBadLength: ignore,
  onGossipTo: ignore
}

function watched(): { brings: (bytes: number) => void; did: string[] } {
  const did: string[] = []
  const connection = { sendPause: () => void did.push('pause'), sendResume: () => void did.push('resume') }
  return { brings: inRounds(connection as unknown as MultiaddrConnection), did }
}
