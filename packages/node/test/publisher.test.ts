import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ContentOf,
  createPhrase,
  findWork,
  identityFromPhrase,
  type Priced,
  sealRecord,
  type SoukRecord,
  workFloor
} from '@souk/records'
import type { PublishedRecord } from '@souk/network'
import { createStorage, type Storage } from '@souk/storage'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { workBitsByItselfMax, workHeadroomBits } from '../src/limits.ts'
import { createProver } from '../src/prover.ts'
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
let generous: Publisher
/** What this node would ask of strangers. */
let asks: (priced: Priced) => number
let announced: SoukRecord[]
let announcements: number

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'souk-publisher-'))
  storage = await createStorage({ directory, now: Date.now, search: 'off' })
  announced = []
  announcements = 0
  const network = {
    publish: async (records: PublishedRecord | readonly PublishedRecord[]) => {
      announced.push(...([records].flat() as SoukRecord[]))
      announcements++
      return { peers: 0 }
    },
    gate: { asksStrangers: (priced: Priced) => asks(priced) }
  }
  const { signer } = identityFromPhrase(createPhrase())
  asks = workFloor
  const components = { records: storage.records, network, prover: createProver({}), signer }
  publisher = createPublisher(components, { now: Date.now, market: 'main' })
  generous = createPublisher(components, { now: Date.now, market: 'main', extraWorkBits: 2 })
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

test('a word of another installation that comes in while one’s own is sealed does not take its place', async () => {
  const { signer } = identityFromPhrase(createPhrase())
  const times = { createdAtMs: Date.now(), expiresAtMs: Date.now() + lifeMs }
  const elsewhere = { kind: 'listing', key: slot.key, market: 'main', ...times } as const
  const words = [3, 5].map((seq) => sealRecord({ ...elsewhere, seq, content: { ...content, quantity: seq } }, signer))
  const { records } = storage
  const meeting: Pick<typeof records, 'head' | 'put'> = {
    head: async (of) => {
      const standing = await records.head(of)
      const word = words.shift()
      if (word !== undefined) await records.put(word)
      return standing
    },
    put: (...given) => records.put(...given)
  }
  const network = { publish: async () => ({ peers: 0 }), gate: { asksStrangers: () => 0 } }
  const here = createPublisher(
    { records: meeting, network, prover: createProver({}), signer },
    { now: Date.now, market: 'main' }
  )
  const made = await here.publish(slot, (standing) => ({ ...content, title: `After ${standing?.quantity}` }))
  expect(made).toMatchObject({ seq: 6, content: { title: 'After 5' } })
  expect((await records.head({ author: signer.publicKey, kind: 'listing', key: slot.key }))?.id).toBe(made.id)
})

test('a slot goes on after a revision that failed', async () => {
  const failing = publisher.publish({ ...slot, lifeMs: -1 }, content)
  const next = publisher.publish(slot, content)
  await expect(failing).rejects.toMatchObject({ code: 'bad-body' })
  expect((await next).seq).toBe(0)
})

test('listings published at once share writes and announcements, where their work does not take longer than a write', async () => {
  asks = () => 0
  let writes = 0
  storage.records.on('stored', () => void writes++)
  const keys = Array.from({ length: 50 }, (_, index) => `hg.${index.toString(36).padStart(8, '0')}`)
  await Promise.all(keys.map((key) => publisher.publish({ ...slot, key }, content)))
  expect(storage.records.count()).toBe(50)
  expect(announced).toHaveLength(50)
  expect(writes).toBeLessThan(25)
  expect(announcements).toBeLessThan(25)
})

test('a record has work for nodes that are fuller and busier than an idle one, and for what this one sees itself', async () => {
  expect((await publisher.publish(slot, content)).work?.bits).toBe(12 + workHeadroomBits)
  asks = () => 14
  expect((await publisher.publish(slot, content)).work?.bits).toBe(14 + workHeadroomBits)
  expect((await generous.publish(slot, content)).work?.bits).toBe(16 + workHeadroomBits)
})

test('no flood makes a node work harder than it would by itself', async () => {
  asks = () => 22
  const record = await publisher.publish(slot, content)
  expect(record.work?.bits).toBe(workBitsByItselfMax)
  expect((await publisher.remove(record)).work?.bits).toBe(workBitsByItselfMax)
})

test('a search lets everything else go on, and tells when it takes long', async () => {
  const preimage = new TextEncoder().encode('a jug')
  const told: number[] = []
  const ended = new AbortController()
  const onLong = (bits: number): void => {
    told.push(bits)
    ended.abort()
  }
  const prover = createProver({ signal: ended.signal, onLong })
  let turns = 0
  const pulse = setInterval(() => void turns++, 1)
  await expect(prover.find(preimage, 32)).rejects.toMatchObject({ name: 'AbortError' })
  clearInterval(pulse)
  expect(told).toEqual([32])
  expect(turns).toBeGreaterThan(20)
  expect(await createProver({}).find(preimage, 12)).toEqual(findWork(preimage, 12))
})

test('searches wait for each other, and one that fails does not hold up the next', async () => {
  const prover = createProver({})
  const preimage = new TextEncoder().encode('a jug')
  const order: string[] = []
  const note = (name: string) => () => void order.push(name)
  const searches = [
    prover.find(preimage, 17).then(note('long')),
    prover.find(preimage, 99).catch(note('impossible')),
    prover.find(preimage, 1).then(note('short'))
  ]
  await Promise.all(searches)
  expect(order).toEqual(['long', 'impossible', 'short'])
})
