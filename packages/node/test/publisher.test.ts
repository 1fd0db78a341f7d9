import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ContentOf, createPhrase, identityFromPhrase, type SoukRecord } from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createPublisher, type Publisher } from '../src/publisher.ts'

const lifeMs = 86_400_000
const content: ContentOf<'listing'> = {
  type: 'Offer',
  businessFunction: 'Sell',
  trade: 'fixed-price',
  title: 'A jug',
  description: 'Blue',
  language: 'en',
  category: 'hg',
  price: { minor: '100', currency: 'EUR' },
  unit: 'C62',
  quantity: 1,
  images: [],
  delivery: [{ kind: 'pick-up' }],
  settlements: [{ kind: 'direct', methods: ['cash'] }],
  tags: []
}
const slot = { kind: 'listing', key: 'hg.00000000', lifeMs } as const

let directory: string
let storage: Storage
let publisher: Publisher
let announced: SoukRecord[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'souk-publisher-'))
  storage = await createStorage({ directory, now: Date.now, search: 'off' })
  announced = []
  const network = {
    publish: async (record: Pick<SoukRecord, 'market' | 'channel' | 'bytes'>) => {
      announced.push(record as SoukRecord)
      return { peers: 0 }
    }
  }
  const { signer } = identityFromPhrase(createPhrase())
  publisher = createPublisher({ records: storage.records, network, signer }, { now: Date.now, market: 'main' })
})

afterEach(async () => {
  await storage.close()
  await rm(directory, { recursive: true })
})

test('revisions of one slot made at once get one number each, in order', async () => {
  const made = await Promise.all([1, 2, 3, 4].map(() => publisher.publish(slot, content)))
  expect(made.map(({ seq }) => seq)).toEqual([0, 1, 2, 3])
  expect(announced.map(({ seq }) => seq)).toEqual([0, 1, 2, 3])
  expect(storage.records.count()).toBe(1)
})

test('a slot goes on after a revision that failed', async () => {
  const failing = publisher.publish({ ...slot, lifeMs: -1 }, content)
  const next = publisher.publish(slot, content)
  await expect(failing).rejects.toMatchObject({ code: 'bad-body' })
  expect((await next).seq).toBe(0)
})

test('listings published at once share writes', async () => {
  let writes = 0
  storage.records.on('stored', () => void writes++)
  const keys = Array.from({ length: 50 }, (_, index) => `hg.${index.toString(36).padStart(8, '0')}`)
  await Promise.all(keys.map((key) => publisher.publish({ ...slot, key }, content)))
  expect(storage.records.count()).toBe(50)
  expect(announced).toHaveLength(50)
  expect(writes).toBeLessThan(25)
})
