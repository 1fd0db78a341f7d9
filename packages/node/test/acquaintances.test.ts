import { createPhrase, type Did, identityFromPhrase, keyFromDid } from '@souk/records'
import { expect, test } from 'vitest'
import { createAcquaintances } from '../src/acquaintances.ts'

const [ana, bo, cem] = [1, 2, 3].map(() => identityFromPhrase(createPhrase()).did) as [Did, Did, Did]

test('a stranger who asks for something stays one until the order is agreed on', () => {
  const known = createAcquaintances([], { onNew: () => undefined })
  const asks = { counterparty: ana, role: 'seller' } as const
  for (const phase of ['REQUESTED', 'VOID']) known.meet({ ...asks, phase })
  expect(known.has(keyFromDid(ana))).toBe(false)
  known.meet({ ...asks, phase: 'AGREED' })
  expect(known.has(keyFromDid(ana))).toBe(true)
})

test('whom one buys from is no stranger, whatever comes of it', () => {
  const known = createAcquaintances([], { onNew: () => undefined })
  known.meet({ counterparty: bo, role: 'buyer', phase: 'REQUESTED' })
  expect(known.has(keyFromDid(bo))).toBe(true)
  expect(known.has(keyFromDid(cem))).toBe(false)
})

test('everybody is told of once', () => {
  const told: Uint8Array[] = []
  const known = createAcquaintances([ana, bo, ana], { onNew: (author) => void told.push(author) })
  for (let n = 0; n < 3; n++) known.meet({ counterparty: cem, role: 'buyer', phase: 'CLOSED' })
  known.meet({ counterparty: bo, role: 'seller', phase: 'CLOSED' })
  expect(told).toEqual([ana, bo, cem].map(keyFromDid))
})
