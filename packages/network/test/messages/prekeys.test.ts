import { x25519 } from '@noble/curves/ed25519.js'
import { bytesToHex, randomBytes } from '@noble/hashes/utils.js'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { prekeyEveryMs, prekeyHeldMs, prekeysHeldMax } from '../../src/messages/limits.ts'
import { createPrekeys, type Prekeys } from '../../src/messages/prekeys.ts'
import { type KeyValueStore, prefixRange } from '../../src/store.ts'
import { memoryStore } from '../peers.ts'

const day = 86_400_000
const wrapKey = randomBytes(32)

async function rows(store: KeyValueStore): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const [, value] of store.iterator(prefixRange('x/'))) found.push(value)
  return found
}

const publicKeys = (prekeys: Prekeys): string[] => prekeys.secrets().map((one) => bytesToHex(x25519.getPublicKey(one)))

test('the newest is in use, changes once a week, and is the same after a restart', async () => {
  const store = memoryStore()
  let nowMs = 0
  const open = () => createPrekeys({ store }, { now: () => nowMs, wrapKey })
  const first = await open()
  const key = first.current()
  expect(await first.rotate()).toBe(false)
  nowMs = prekeyEveryMs - 1
  expect((await open()).current()).toEqual(key)
  nowMs = prekeyEveryMs
  expect(await first.rotate()).toBe(true)
  expect(first.current()).not.toEqual(key)
  expect((await open()).current()).toEqual(first.current())
})

test('at rest there is no secret, and another phrase opens none', async () => {
  const store = memoryStore()
  const prekeys = await createPrekeys({ store }, { now: () => 0, wrapKey })
  const [row = new Uint8Array()] = await rows(store)
  for (const secret of prekeys.secrets()) expect(bytesToHex(row)).not.toContain(bytesToHex(secret))
  const other = await createPrekeys({ store }, { now: () => 0, wrapKey: randomBytes(32) })
  expect(publicKeys(other)).not.toContain(bytesToHex(prekeys.current()))
})

test('at any clock: each is held a fortnight after its last day in use, none longer, and never more than eight', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: -2 * day, max: 20 * day }), { minLength: 1, maxLength: 30 }),
      async (steps) => {
        const store = memoryStore()
        let nowMs = 100 * day
        let prekeys = await createPrekeys({ store }, { now: () => nowMs, wrapKey })
        /** When each was seen to be in use last, and when it was found retired. */
        const retiredAtMs = new Map<string, number>()
        for (const [index, step] of steps.entries()) {
          const before = bytesToHex(prekeys.current())
          nowMs += step
          if (index % 3 === 0) prekeys = await createPrekeys({ store }, { now: () => nowMs, wrapKey })
          else await prekeys.rotate()
          const current = bytesToHex(prekeys.current())
          if (current !== before) retiredAtMs.set(before, nowMs)
          const held = publicKeys(prekeys)
          expect(held[0]).toBe(current)
          expect(held.length).toBeLessThanOrEqual(prekeysHeldMax)
          expect(await rows(store)).toHaveLength(held.length)
          for (const key of held.slice(1)) {
            expect(nowMs - (retiredAtMs.get(key) ?? Number.NaN)).toBeLessThan(prekeyHeldMs)
          }
        }
      }
    ),
    { numRuns: 60 }
  )
})

test('what was in use until yesterday is held, whatever came before', async () => {
  const store = memoryStore()
  let nowMs = 0
  const prekeys = await createPrekeys({ store }, { now: () => nowMs, wrapKey })
  for (let week = 1; week <= 6; week++) {
    const last = bytesToHex(prekeys.current())
    nowMs = week * prekeyEveryMs
    await prekeys.rotate()
    expect(publicKeys(prekeys)).toContain(last)
    nowMs += prekeyEveryMs - 1
    await prekeys.rotate()
    expect(publicKeys(prekeys)).toContain(last)
  }
  expect(publicKeys(prekeys)).toHaveLength(3)
})
