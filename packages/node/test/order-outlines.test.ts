import { join } from 'node:path'
import { createStorage } from '@souk/storage'
import { expect, test } from 'vitest'
import { createOrderBook } from '../src/order-book.ts'
import { createOrderOutlines } from '../src/order-outlines.ts'
import { lamp, makeDirectory, makeIdentity, openNode, until } from './support.ts'

const year = 365 * 24 * 3_600_000

test('what is over is folded once, and again when something was written or the clock went back', async () => {
  const seller = await openNode()
  const directory = await makeDirectory()
  const identity = makeIdentity()
  const buyer = await openNode({ directory, identity, near: [seller] })
  await seller.listings.publish(lamp)
  const listing = (await until(buyer, async () => (await buyer.search({ text: 'lamp' })).hits[0])).id
  const withdrawn = await buyer.orders.buy({ listing, delivery: 'pick-up' })
  const waiting = await buyer.orders.buy({ listing, delivery: 'pick-up' })
  await buyer.orders.act(withdrawn.id, { action: 'cancel' })
  await buyer[Symbol.asyncDispose]()

  await using storage = await createStorage({ directory: join(directory, 'store'), now: Date.now })
  let nowMs = Date.now()
  const now = (): number => nowMs
  const book = createOrderBook({ storage, signer: identity.signer }, { now })
  let folded: string[] = []
  const counting: Pick<typeof book, 'get'> = {
    get: (order) => {
      folded.push(order)
      return book.get(order)
    }
  }
  const outlines = createOrderOutlines({ storage, book: counting }, { now })
  const look = async (): Promise<{ folded: string[]; open: string[] }> => {
    folded = []
    const open = (await outlines.list()).filter((order) => order.open).map(({ id }) => id)
    return { folded: folded.toSorted(), open }
  }
  const both = [withdrawn.id, waiting.id].toSorted()

  expect(await look()).toEqual({ folded: expect.arrayContaining([waiting.id]), open: [waiting.id] })
  expect(await look()).toEqual({ folded: [waiting.id], open: [waiting.id] })
  expect(await outlines.list()).toMatchObject([
    { id: waiting.id, role: 'buyer', phase: 'REQUESTED', listing, open: true, atRest: false },
    { id: withdrawn.id, role: 'buyer', phase: 'VOID', listing, open: false, atRest: true }
  ])

  await storage.orders.append({ order: withdrawn.id, facts: [{ id: 'a', fact: null }] })
  expect(await look()).toEqual({ folded: both, open: [waiting.id] })
  expect(await look()).toEqual({ folded: [waiting.id], open: [waiting.id] })

  // Nobody answered in a year, by a clock that then turns out to have been wrong.
  nowMs += year
  expect(await look()).toEqual({ folded: [waiting.id], open: [] })
  expect(await look()).toEqual({ folded: [], open: [] })
  nowMs -= year
  expect(await look()).toEqual({ folded: [waiting.id], open: [waiting.id] })
})
