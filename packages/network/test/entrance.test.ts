import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Entrance } from '../src/guard/entrance.ts'
import { entranceBudget, entranceWaitingMax } from '../src/guard/limits.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Lets people in and notes who came when. */
function setUp() {
  const startMs = Date.now()
  const entrance = new Entrance(Date.now)
  const came: string[] = []
  const comes = (block: string): boolean =>
    entrance.queue(block, () => {
      came.push(block)
      return true
    })
  return { entrance, came, comes, elapsedMs: () => Date.now() - startMs }
}

test('a few enter at once, the rest at a pace', () => {
  const { came, comes } = setUp()
  for (let n = 0; n < 100; n++) comes('a')
  expect(came).toHaveLength(entranceBudget.burst)
  vi.advanceTimersByTime(1000)
  expect(came).toHaveLength(entranceBudget.burst + entranceBudget.perSecond)
  vi.advanceTimersByTime(1000)
  expect(came).toHaveLength(100)
})

test('blocks take turns: who comes alone does not wait behind a crowd', () => {
  const { came, comes } = setUp()
  for (let n = 0; n < 60; n++) comes('crowd')
  comes('alone')
  vi.advanceTimersByTime((2 * 1000) / entranceBudget.perSecond)
  expect(came).toContain('alone')
})

test('who has left takes no turn', () => {
  const { entrance, came, comes } = setUp()
  for (let n = 0; n < entranceBudget.burst; n++) comes('a')
  for (let n = 0; n < 50; n++) entrance.queue('gone', () => false)
  comes('a')
  vi.advanceTimersByTime(1000 / entranceBudget.perSecond)
  expect(came).toHaveLength(entranceBudget.burst + 1)
})

test('only so many wait', () => {
  const { comes } = setUp()
  const taken = Array.from({ length: entranceBudget.burst + entranceWaitingMax + 5 }, () => comes('a'))
  expect(taken.filter((isTaken) => !isTaken)).toHaveLength(5)
})
