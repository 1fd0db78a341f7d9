import { expect, test } from 'vitest'
import { createClock } from './clock.ts'
import { realSettling } from './process.ts'
import { createRandom } from './random.ts'
import { createWire } from './wire.ts'

test('gives a dial that nobody answers up when its caller does, not when it would ask again', async () => {
  const clock = createClock(0)
  const wire = createWire<object>({ clock, random: createRandom(1), latencyMs: 50, loss: 0, onArrival: () => {} })
  const giving = new AbortController()
  // Such a one forgets what nobody has listened to: whether it had fired was chance, and so was the rest of the run.
  const signal = AbortSignal.any([giving.signal])
  clock.set(() => giving.abort(new Error('enough')), 10_000)
  let ended: string | undefined
  const end = (text: string): void => void (ended = `${text} after ${clock.nowMs}`)
  void wire.dial(wire.plug('10.0.0.1'), '10.0.0.2', { caller: {}, roundTrips: 4, signal }).then(
    () => end('connected'),
    (error: Error) => end(error.message)
  )
  await clock.run(() => ended !== undefined, realSettling())
  expect(ended).toBe('enough after 10000')
})
