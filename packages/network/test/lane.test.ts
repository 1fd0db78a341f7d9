import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLane, type Lane, type Turn } from '../src/catch-up/lane.ts'
import { slowBytesPerSecond, slowMax, slowMs } from '../src/catch-up/limits.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Begins a task that goes on until it is told to end, or its turn is. */
function begin(lane: Lane): { turn?: Turn; end: () => void; ended: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const task: { turn?: Turn; end: () => void; ended: Promise<void> } = { end: resolve, ended: Promise.resolve() }
  task.ended = lane.run(async (turn) => {
    task.turn = turn
    turn.signal.addEventListener('abort', () => resolve())
    await promise
    turn.signal.throwIfAborted()
  })
  task.ended.catch(() => {})
  return task
}

describe('a lane', () => {
  test('runs tasks one after the other, also after one has failed', async () => {
    const lane = createLane()
    const order: number[] = []
    const failing = lane.run(async () => {
      order.push(1)
      throw new Error('no')
    })
    const next = lane.run(async () => order.push(2))
    expect(order).toEqual([1])
    await expect(failing).rejects.toThrow('no')
    await next
    expect(order).toEqual([1, 2])
    await lane.idle()
  })

  test('keeps its order while bytes come, and while nobody waits', async () => {
    const lane = createLane()
    const first = begin(lane)
    await vi.advanceTimersByTimeAsync(10 * slowMs)
    const second = begin(lane)
    for (let at = 0; at < 10; at++) {
      first.turn?.received((slowBytesPerSecond * slowMs) / 1000)
      await vi.advanceTimersByTimeAsync(slowMs)
    }
    expect(second.turn).toBeUndefined()
    first.end()
    await first.ended
    expect(second.turn).toBeDefined()
  })

  test('lets the next one begin beside one to which little comes', async () => {
    const lane = createLane()
    const [first, second] = [begin(lane), begin(lane)]
    first.turn?.received(100)
    await vi.advanceTimersByTimeAsync(slowMs)
    expect(second.turn).toBeDefined()
    expect(first.turn?.signal.aborted).toBe(false)
    first.end()
    await first.ended
    const third = begin(lane)
    expect(third.turn).toBeUndefined()
    second.end()
    await second.ended
    expect(third.turn).toBeDefined()
  })

  test('ends who has been slow longest when more are slow than may go on', async () => {
    const lane = createLane()
    const tasks = Array.from({ length: slowMax + 2 }, () => begin(lane))
    await vi.advanceTimersByTimeAsync((slowMax + 1) * slowMs)
    expect(tasks.map(({ turn }) => turn?.signal.aborted)).toEqual([true, ...Array(slowMax + 1).fill(false)])
    await expect(tasks[0]?.ended).rejects.toMatchObject({ code: 'broken' })
    for (const { end } of tasks) end()
    await lane.idle()
  })
})
