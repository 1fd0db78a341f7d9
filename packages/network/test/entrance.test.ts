import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Entrance } from '../src/guard/entrance.ts'
import { entranceBudget, type EntranceLimits, entranceWaitingMax } from '../src/guard/limits.ts'

const turnMs = Math.ceil(1000 / entranceBudget.perSecond)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Lets people in and notes who came when. */
function setUp(limits: Partial<EntranceLimits> = {}) {
  const entrance = new Entrance({ now: Date.now, entrance: limits })
  const came: string[] = []
  const comes = (block: string): boolean =>
    entrance.queue(block, () => {
      came.push(block)
      return true
    })
  return { entrance, came, comes }
}

test('a few enter at once, the rest at a pace', () => {
  const { came, comes } = setUp()
  const crowd = entranceBudget.burst + entranceBudget.perSecond
  for (let n = 0; n < crowd; n++) comes('a')
  expect(came).toHaveLength(entranceBudget.burst)
  vi.advanceTimersByTime(turnMs)
  expect(came).toHaveLength(entranceBudget.burst + 1)
  vi.advanceTimersByTime(900)
  expect(came.length).toBeLessThan(crowd)
  vi.advanceTimersByTime(200)
  expect(came).toHaveLength(crowd)
})

test('blocks take turns: who comes alone does not wait behind a crowd', () => {
  const { came, comes } = setUp()
  for (let n = 0; n < 60; n++) comes('crowd')
  comes('alone')
  vi.advanceTimersByTime(2 * turnMs)
  expect(came).toContain('alone')
})

test('who has left takes no turn', () => {
  const { entrance, came, comes } = setUp()
  for (let n = 0; n < entranceBudget.burst; n++) comes('a')
  for (let n = 0; n < 50; n++) entrance.queue('gone', () => false)
  comes('a')
  vi.advanceTimersByTime(turnMs)
  expect(came).toHaveLength(entranceBudget.burst + 1)
})

test('only so many wait', () => {
  const { comes } = setUp()
  const taken = Array.from({ length: entranceBudget.burst + entranceWaitingMax + 5 }, () => comes('a'))
  expect(taken.filter((isTaken) => !isTaken)).toHaveLength(5)
})

test('as many at once, and as many who wait, as was asked for', () => {
  const { came, comes } = setUp({ perSecond: 1, burst: 2, waitingMax: 3 })
  expect(Array.from({ length: 6 }, () => comes('a'))).toEqual([true, true, true, true, true, false])
  expect(came).toHaveLength(2)
  vi.advanceTimersByTime(1000)
  expect(came).toHaveLength(3)
})
