import { describe, expect, it } from 'vitest'
import { createItemVector, createReconciler, type Item, type Reconciler } from '../src/index.ts'
import { comparedShareMax, comparedSlack, idBytes } from '../src/limits.ts'
import { readMessage } from '../src/message.ts'
import { fromHex, itemOf, reconcileFully } from './session.ts'

const nowMs = 1_790_000_000_000
const items = Array.from({ length: 5000 }, (_, n) => itemOf(n, nowMs + 7 * n))

const responder = (): Reconciler => createReconciler(createItemVector(items), { initiator: false })

/** Which items one side has; scattered, but the same in each run. */
type Share = (n: number) => boolean
const every: Share = () => true
const oneIn =
  (most: number): Share =>
  (n) =>
    itemOf(n, 0).id[0]! % most === 0
const allBut =
  (share: Share): Share =>
  (n) =>
    !share(n)
const having = (count: number, share: Share): Item[] =>
  Array.from({ length: count }, (_, n) => n)
    .filter(share)
    .map((n) => itemOf(n, nowMs + 7 * n))

describe('what a responder tells once', () => {
  it.each<[string, number, Share, Share]>([
    ['every second item missing here', 20_000, oneIn(2), every],
    ['every second item missing there', 20_000, every, oneIn(2)],
    ['nothing in common', 20_000, oneIn(2), allBut(oneIn(2))],
    ['one in nine missing here', 20_000, allBut(oneIn(9)), every],
    ['hardly anything here', 20_000, oneIn(200), every],
    ['hardly anything there', 20_000, every, oneIn(200)],
    ['a few hundred, half of them in common', 400, oneIn(2), every],
    ['a few hundred, nothing in common', 400, oneIn(2), allBut(oneIn(2))],
    ['a dozen', 12, oneIn(2), every]
  ])('is enough for %s, in messages cut short too', (_, count, ours, theirs) => {
    const [here, there] = [having(count, ours), having(count, theirs)]
    for (const rangesMax of [64, 2048]) {
      const init = { rangesMax, roundsMax: 2000, rangesPerRangeMax: 18 }
      const { need } = reconcileFully(createItemVector(here), createItemVector(there), { ours: init, theirs: init })
      const held = new Set(here.map(({ timestampMs }) => timestampMs))
      expect(new Set(need).size).toBe(there.filter(({ timestampMs }) => !held.has(timestampMs)).length)
    }
  })

  it('is a list of all ids', () => {
    const asked = responder()
    const listOfNothing = Uint8Array.of(0x61, 0, 0, 2, 0)
    expect(asked.reconcile(listOfNothing).reply!.length).toBeGreaterThan(items.length * idBytes)
    expect(() => asked.reconcile(listOfNothing)).toThrow(expect.objectContaining({ code: 'asked-again' }))
  })

  it('leaves open what it has fingerprints of, and nothing else', () => {
    const unequal = '00'.repeat(16)
    // All items are in the second of two ranges: the first, which has none, is settled by an empty list.
    const opening = fromHex(`61020001${unequal}000001${unequal}`)
    const ask = (message: string) => () => {
      const session = responder()
      session.reconcile(opening)
      return session.reconcile(fromHex(message)).reply
    }
    expect(ask(`61020000000001${unequal}`)).not.toThrow()
    expect(ask(`61020001${unequal}`)).toThrow(expect.objectContaining({ code: 'asked-again' }))
    expect(ask('6102000200')).toThrow(expect.objectContaining({ code: 'asked-again' }))
  })

  it.each([50, 150, 500])('are fingerprints, fewer than it has items, and each id once: %s ranges', (count) => {
    const asked = responder()
    const message = madeUp(count)
    let [fingerprints, ids] = [0, 0]
    const ask = (): void => {
      for (;;) {
        for (const range of readMessage(asked.reconcile(message).reply!, unbounded)) {
          if (range.kind === 'fingerprint') fingerprints++
          if (range.kind === 'ids') ids += range.ids.length / idBytes
        }
      }
    }
    expect(ask).toThrow(expect.objectContaining({ code: 'asked-again' }))
    expect(fingerprints).toBeLessThan(items.length * comparedShareMax + comparedSlack)
    expect(ids).toBeLessThanOrEqual(items.length)
  })

  it('are lists at once where nearly all differs: what was made up costs the fingerprints that it has, and no more', () => {
    const { reply, done } = responder().reconcile(madeUp(256))
    const kinds = Array.from(readMessage(reply!, unbounded), ({ kind }) => kind)
    // Ranges of twenty: the first 31 are cut into six each.
    expect(kinds.filter((kind) => kind === 'fingerprint').length).toBeLessThanOrEqual(31 * 6)
    expect(kinds.filter((kind) => kind === 'ids').length).toBeGreaterThanOrEqual(225)
    expect(done).toBe(false)
  })
})

const unbounded = { messageBytesMax: Infinity, rangesMax: Infinity, idsMax: Infinity }

/** Ranges with fingerprints of nothing, all over the items. */
function madeUp(ranges: number): Uint8Array {
  const bytes = [0x61]
  const stepMs = Math.floor((7 * items.length) / ranges)
  for (let range = 0; range < ranges; range++) {
    bytes.push(...varint(range === 0 ? nowMs + 1 : stepMs + 1), 0, 1, ...new Uint8Array(16))
  }
  return Uint8Array.from(bytes)
}

function varint(value: number): number[] {
  const digits = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) + 128)
  return digits
}
