import { createPhrase, type Did, identityFromPhrase, keyFromDid } from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import { expect, test } from 'vitest'
import { type Acquaintances, type AcquaintancesInit, openAcquaintances } from '../src/acquaintances.ts'
import { makeDirectory } from './support.ts'

const [ana, bo, cem] = [1, 2, 3].map(() => identityFromPhrase(createPhrase()).did) as [Did, Did, Did]

async function openHome(): Promise<Storage> {
  return createStorage({ directory: await makeDirectory(), search: 'off', now: Date.now })
}

/** As at each start of a node. */
function openKnown(home: Storage, init: Partial<AcquaintancesInit> = {}): Promise<Acquaintances> {
  const store = home.sublevel('acquaintances', { values: 'bytes' })
  return openAcquaintances({ store }, { dids: [], onNew: () => undefined, ...init })
}

test('a stranger who asks for something stays one until the order is agreed on', async () => {
  await using home = await openHome()
  const known = await openKnown(home)
  const asks = { counterparty: ana, role: 'seller' } as const
  for (const phase of ['REQUESTED', 'VOID']) await known.meet({ ...asks, phase })
  expect(known.has(keyFromDid(ana))).toBe(false)
  expect((await openKnown(home)).has(keyFromDid(ana))).toBe(false)
  await known.meet({ ...asks, phase: 'AGREED' })
  expect(known.has(keyFromDid(ana))).toBe(true)
})

test('whom one buys from is no stranger, whatever comes of it', async () => {
  await using home = await openHome()
  const known = await openKnown(home)
  await known.meet({ counterparty: bo, role: 'buyer', phase: 'REQUESTED' })
  expect(known.has(keyFromDid(bo))).toBe(true)
  expect(known.has(keyFromDid(cem))).toBe(false)
})

test('whom one has met is known from the start on, before any order has been read', async () => {
  await using home = await openHome()
  await (await openKnown(home)).meet({ counterparty: bo, role: 'buyer', phase: 'CLOSED' })
  const told: Uint8Array[] = []
  const known = await openKnown(home, { dids: [ana], onNew: (author) => void told.push(author) })
  expect(known.has(keyFromDid(bo))).toBe(true)
  expect(told).toEqual([ana, bo].map(keyFromDid))
})

test('everybody is told of once', async () => {
  const told: Uint8Array[] = []
  await using home = await openHome()
  const known = await openKnown(home, { dids: [ana, bo, ana], onNew: (author) => void told.push(author) })
  for (let n = 0; n < 3; n++) await known.meet({ counterparty: cem, role: 'buyer', phase: 'CLOSED' })
  await known.meet({ counterparty: bo, role: 'seller', phase: 'CLOSED' })
  expect(told).toEqual([ana, bo, cem].map(keyFromDid))
})
