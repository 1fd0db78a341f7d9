import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { cancel, createClock, type Timer } from './clock.ts'
import { realSettling } from './process.ts'
import { createRandom } from './random.ts'

const settling = realSettling()

test('runs what is due in the order of time, then of setting, whatever was set and taken back', async () => {
  const delays = fc.array(fc.record({ delayMs: fc.nat(50), isTakenBack: fc.boolean() }), { maxLength: 200 })
  await fc.assert(
    fc.asyncProperty(delays, async (given) => {
      const clock = createClock(1000)
      const ran: string[] = []
      const timers: Timer[] = given.map(({ delayMs }, index) =>
        clock.set(() => void ran.push(`${clock.nowMs} ${index}`), delayMs)
      )
      given.forEach(({ isTakenBack }, index) => isTakenBack && cancel(timers[index] as Timer))
      clock.set(() => void ran.push('end'), 60)
      await clock.run(() => ran.at(-1) === 'end', settling)
      const left = given.map(({ delayMs, isTakenBack }, index) => ({ dueMs: 1000 + delayMs, index, isTakenBack }))
      const sorted = left.filter((one) => !one.isTakenBack).toSorted((a, b) => a.dueMs - b.dueMs || a.index - b.index)
      expect(ran.slice(0, -1)).toEqual(sorted.map(({ dueMs, index }) => `${dueMs} ${index}`))
    }),
    { numRuns: 50 }
  )
})

test('lets everything that follows from a task happen before time passes', async () => {
  const clock = createClock(0)
  const seen: [string, number][] = []
  const work = async (): Promise<void> => {
    await clock.wait(10)
    await Promise.resolve()
    clock.soon(() => void seen.push(['soon', clock.nowMs]))
    seen.push(['after a wait', clock.nowMs])
  }
  void work()
  clock.set(() => void seen.push(['later', clock.nowMs]), 11)
  await clock.run(() => seen.length === 3, settling)
  expect(seen).toEqual([
    ['after a wait', 10],
    ['soon', 10],
    ['later', 11]
  ])
})

test('says so when nothing is left to happen', async () => {
  await expect(createClock(0).run(() => false, settling)).rejects.toThrow('nothing is left to happen')
})

test('draws the same from one seed, other things from another, and apart in its forks', () => {
  const draw = (seed: number, fork = 'a'): string =>
    Buffer.from(createRandom(seed).fork(fork).bytes(32)).toString('hex')
  expect(draw(1)).toBe(draw(1))
  expect(new Set([draw(1), draw(2), draw(1, 'b')]).size).toBe(3)
})

test('draws evenly: each of 16 values a sixteenth of the time', () => {
  const random = createRandom(7)
  const counts = Array.from({ length: 16 }, () => 0)
  for (let left = 160_000; left > 0; left--) counts[random.below(16)]!++
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
})
