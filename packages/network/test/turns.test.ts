import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createTurns } from '../src/gossip/turns.ts'

test('work that awaits nothing lets everything else get on between its turns', async () => {
  const turns = createTurns(1)
  let isDone = false
  let others = 0
  const work = async (): Promise<void> => {
    for (let piece = 0; piece < 20; piece++) {
      for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
      busyFor(0.5)
    }
  }
  const elsewhere = async (): Promise<void> => {
    for (; !isDone; others++) await setImmediate()
  }
  const running = elsewhere()
  await Promise.all([work(), work()])
  isDone = true
  await running
  // Forty pieces of half a millisecond are more than a dozen turns of one; in a single one nobody else would have run.
  expect(others).toBeGreaterThan(10)
})

test('who comes when nobody works waits for nothing', async () => {
  const turns = createTurns(1)
  for (let round = 0; round < 3; round++) {
    expect(turns.wait()).toBeUndefined()
    busyFor(2)
    expect(turns.wait()).toBeDefined()
    await turns.wait()
    await setImmediate()
  }
})

function busyFor(ms: number): void {
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}
