import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { workTurnMs } from '../src/catch-up/limits.ts'
import { createPacer, type Rest } from '../src/catch-up/pacer.ts'
import { createTurns } from '../src/gossip/turns.ts'
import type { Budget } from '../src/guard/bucket.ts'
import { type Guest, Places } from '../src/catch-up/places.ts'

/** A guest that notes when it is asked to leave. */
function guestOf(peer: string, block: string, left: string[] = []): Guest {
  return { peer, block, leave: () => void left.push(peer) }
}

function placesFor(most: number): { places: Places; clock: { ms: number } } {
  const clock = { ms: 0 }
  return { clock, places: new Places({ most, perPeerMax: 1, turnMs: 1000, clock: () => clock.ms }) }
}

describe('places', () => {
  it('has one for a peer, for as long as its session lasts', () => {
    const { places } = placesFor(2)
    const first = guestOf('a', '1')
    expect([places.take(first), places.take(first), places.take(guestOf('a', '2'))]).toEqual([true, true, false])
    places.leave(first)
    expect(places.take(guestOf('a', '2'))).toBe(true)
  })

  it('gives a newcomer the place of the longest there, but not before its turn is over', () => {
    const { places, clock } = placesFor(2)
    const left: string[] = []
    for (const peer of ['a', 'b']) places.take(guestOf(peer, peer, left))
    clock.ms = 999
    expect(places.take(guestOf('c', 'c', left))).toBe(false)
    clock.ms = 1000
    expect(places.take(guestOf('c', 'c', left))).toBe(true)
    expect(left).toEqual(['a'])
  })

  it('gives it at once where one block of addresses has more than the newcomer', () => {
    const { places } = placesFor(4)
    const left: string[] = []
    for (const peer of ['a', 'b', 'c', 'd']) places.take(guestOf(peer, 'many', left))
    expect(places.take(guestOf('e', 'many', left))).toBe(false)
    expect(places.take(guestOf('f', 'one', left))).toBe(true)
    expect(places.take(guestOf('g', 'one', left))).toBe(true)
    expect(places.take(guestOf('h', 'one', left))).toBe(false)
    expect(left).toEqual(['a', 'b'])
  })
})

describe('a pacer', () => {
  const { signal } = new AbortController()

  function pacerFor(budget: Budget) {
    const clock = { ms: 0 }
    const time = (): number => clock.ms
    return { clock, pacer: createPacer({ budget, turns: createTurns(workTurnMs), clock: time, cpuMs: time }) }
  }

  it('runs one task at a time, and says what each took', async () => {
    const { pacer, clock } = pacerFor({ perSecond: 100, burst: 1000 })
    const running: string[] = []
    const task = (name: string) => async () => {
      running.push(`${name} begins`)
      await Promise.resolve()
      clock.ms += 7
      running.push(`${name} ends`)
      return name
    }
    const took: number[] = []
    const options = { signal, charge: (ms: number) => void took.push(ms) }
    const both = await Promise.all(['a', 'b'].map((name) => pacer.run(task(name), { ...options, parties: [name] })))
    expect([both, took]).toEqual([
      ['a', 'b'],
      [7, 7]
    ])
    expect(running).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
  })

  it('takes first whose block has had least, then whoever of it has', async () => {
    const { pacer, clock } = pacerFor({ perSecond: 1000, burst: 10_000 })
    const order: string[] = []
    const run = (block: string, peer: string): Promise<unknown> =>
      pacer.run(
        async () => {
          order.push(peer)
          clock.ms += 10
        },
        { signal, parties: [block, peer] }
      )
    await Promise.all([run('many', 'a'), run('many', 'a'), run('many', 'b'), run('one', 'c'), run('many', 'a')])
    expect(order).toEqual(['a', 'c', 'b', 'a', 'a'])
  })

  it('makes the next task wait when the budget is spent, and forgets who does not wait any more', async () => {
    const { pacer, clock } = pacerFor({ perSecond: 1, burst: 10 })
    const stop = new AbortController()
    await pacer.run(async () => void (clock.ms += 15), { signal, parties: ['a'] })
    const waiting = pacer.run(async () => 'too late', { signal: stop.signal, parties: ['b'] })
    stop.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    await expect(pacer.run(async () => 1, { signal: stop.signal, parties: ['b'] })).rejects.toThrow('gone')
    const { pacer: other, clock: its } = pacerFor({ perSecond: 1000, burst: 10 })
    await other.run(async () => void (its.ms += 15), { signal, parties: ['a'] })
    const later = other.run(async () => 'in time', { signal, parties: ['a'] })
    its.ms += 5
    expect(await later).toBe('in time')
  })

  it('goes on after a task that failed, and counts it', async () => {
    const { pacer, clock } = pacerFor({ perSecond: 1000, burst: 10 })
    const took: number[] = []
    const options = { signal, parties: ['a'], charge: (ms: number) => void took.push(ms) }
    const failing = pacer.run(async () => {
      clock.ms += 12
      throw new Error('no')
    }, options)
    await expect(failing).rejects.toThrow('no')
    clock.ms += 2
    expect(await pacer.run(async () => 1, options)).toBe(1)
    expect(took).toEqual([12, 0])
  })

  it('leaves nothing on a signal that goes on', async () => {
    const { pacer } = pacerFor({ perSecond: 100, burst: 1000 })
    for (let turn = 0; turn < 5; turn++) await pacer.run(async () => turn, { signal, parties: ['a'] })
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it('lets everybody else get on between tasks that wait for nothing', async () => {
    const { pacer } = pacerFor({ perSecond: 1000, burst: 1000 })
    const task = async (): Promise<void> => busyFor(workTurnMs / 2)
    let [isDone, rounds] = [false, 0]
    const all = Promise.all(Array.from({ length: 20 }, () => pacer.run(task, { signal, parties: ['a'] })))
    void all.then(() => (isDone = true))
    for (; !isDone; rounds++) await setImmediate()
    expect(rounds).toBeGreaterThanOrEqual(8)
  })

  /** Twenty steps of half a turn each. */
  const long = (clock: { ms: number }) => async (rest: Rest) => {
    for (let step = 0; step < 20; step++) {
      busyFor(workTurnMs / 2)
      clock.ms += 1
      await rest()
    }
  }

  it('lets everybody else get on within a task, and does not count what they do meanwhile', async () => {
    const { pacer, clock } = pacerFor({ perSecond: 1000, burst: 1000 })
    let [isDone, rounds, tookMs] = [false, 0, 0]
    const charge = (ms: number): void => void (tookMs = ms)
    const all = pacer.run(long(clock), { signal, parties: ['a'], charge }).then(() => (isDone = true))
    for (; !isDone; rounds++) {
      await setImmediate()
      clock.ms += 100
    }
    await all
    expect(rounds).toBeGreaterThanOrEqual(8)
    expect(tookMs).toBe(20)
  })

  it('ends a task within itself when its peer has gone, and charges for what was done', async () => {
    const { pacer, clock } = pacerFor({ perSecond: 1000, burst: 1000 })
    const stop = new AbortController()
    let tookMs = 0
    const charge = (ms: number): void => void (tookMs = ms)
    const gone = new Error('gone')
    const outcome = pacer.run(long(clock), { signal: stop.signal, parties: ['a'], charge }).catch((error) => error)
    while (clock.ms === 0) await setImmediate()
    stop.abort(gone)
    expect(await outcome).toBe(gone)
    expect(tookMs).toBeGreaterThanOrEqual(1)
    expect(tookMs).toBeLessThan(20)
  })
})

function busyFor(ms: number): void {
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}
