import { setImmediate } from 'node:timers/promises'
import { createReconciler, createItemVector } from '@souk/negentropy'
import { type AnyRecord, recordDigest, type RecordId } from '@souk/records'
import { describe, expect, it } from 'vitest'
import { encodeQuestion, type Question } from '../../src/catch-up/frames.ts'
import {
  rangesPerMessageMax,
  rangesPerRangeMax,
  recordsPerRead,
  scopesPerSessionMax
} from '../../src/catch-up/limits.ts'
import { addressOf, startNode } from '../support/net.ts'
import { listing, newSigner, sealListing } from '../support/records.ts'
import { TestStore } from '../support/store.ts'
import { type Attacker, createAttacker, openTalk, type Talk } from './attacker.ts'

const protocol = '/souk/sync/1'
const dayMs = 86_400_000
const refusal = 0xff
const scope = { market: 'main', channels: ['listings/el' as const] }
const nowMs = Date.now()
const records = Array.from({ length: 150 }, (_, number) => sealListing(newSigner(), { number, nowMs: nowMs - number }))
const partition = { market: 'main', channel: 'listings/el' as const, day: Math.floor(records[0]!.expiresAtMs / dayMs) }

/** Counts what is read of it. */
class CountingStore extends TestStore {
  idsRead = 0

  override getBytes(ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]> {
    this.idsRead += ids.length
    return super.getBytes(ids)
  }
}

async function storeWith(list: readonly AnyRecord[]): Promise<CountingStore> {
  const store = new CountingStore()
  await store.put(list)
  return store
}

/** A message of many ranges, each with a wrong fingerprint, that makes the reader split every one of them. */
function bomb(ranges: number): Uint8Array {
  const bytes = [0x61]
  let lastMs = 0
  for (let range = 0; range < ranges; range++) {
    const atMs = nowMs - 150 + Math.floor((range * 150) / ranges)
    bytes.push(...varint(atMs - lastMs + 1), 0, 1, ...Array.from({ length: 16 }, (_, at) => (range + at) & 255))
    lastMs = atMs
  }
  return Uint8Array.from(bytes)
}

function varint(value: number): number[] {
  const digits: number[] = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) + 128)
  return digits
}

const reconcile = (message: Uint8Array): Uint8Array => encodeQuestion({ kind: 'reconcile', partition, message })

interface Siege {
  answered: number
  refused: number
  /** The victim ended the connection. */
  cut: boolean
}

/** Asks the same as fast as it is answered, on a new stream whenever the last was ended, until cut off or `most` times. */
async function besiege(attacker: Attacker, target: string, question: () => Uint8Array, most: number): Promise<Siege> {
  const siege: Siege = { answered: 0, refused: 0, cut: false }
  const connection = await attacker.dial(target)
  let talk: Talk | undefined
  while (siege.answered + siege.refused < most) {
    talk ??= await openTalk(connection, protocol)
    const answer = await talk?.ask(question())
    // A connection that the other side has ended is known as such a moment later.
    if (answer === undefined) await setImmediate()
    if (connection.status !== 'open') return { ...siege, cut: true }
    if (answer !== undefined && answer[0] !== refusal) siege.answered++
    else if (talk !== undefined) siege.refused++
    if (answer !== undefined && answer[0] !== refusal) continue
    talk?.stream.abort(new Error('the next one'))
    talk = undefined
  }
  return siege
}

describe('a bomb for whoever compares sets', () => {
  it.each([
    ['a message may have', rangesPerMessageMax + 1],
    ['one may begin with', rangesPerRangeMax + 1]
  ])('of more ranges than %s costs the sender at once', async (_, ranges) => {
    await using victim = await startNode({ store: await storeWith(records) })
    await using attacker = await createAttacker()
    const siege = await besiege(attacker, addressOf(victim), () => reconcile(bomb(ranges)), 50)
    expect(siege).toMatchObject({ answered: 0, cut: true })
    expect(siege.refused).toBeLessThanOrEqual(5)
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe(`${protocol}:bad-reconciliation`)
  })

  it('within what a message may have is answered for as long as its share of work lasts, then ends the peer', async () => {
    let workMs = 0
    // A fingerprint is the only work there is, and so dear that a bomb takes 20 ms. No time passes.
    await using victim = await startNode({
      now: () => nowMs,
      cpuMs: () => workMs,
      store: new (class extends TestStore {
        override async items(...args: Parameters<TestStore['items']>): ReturnType<TestStore['items']> {
          const items = await super.items(...args)
          return {
            size: items.size,
            rank: (bound) => items.rank(bound),
            timestampMs: (index) => items.timestampMs(index),
            ids: (begin, end) => items.ids(begin, end),
            copyIds: (range, target) => items.copyIds(range, target),
            fingerprint: (begin, end) => {
              workMs += 20 / rangesPerRangeMax
              return items.fingerprint(begin, end)
            }
          }
        }
      })()
    })
    await victim.store.put(records)
    await using attacker = await createAttacker()
    const message = bomb(rangesPerRangeMax)
    let turn = 0
    const siege = await besiege(
      attacker,
      addressOf(victim),
      // Another partition each time, of which there is nothing: the ranges of the bomb are all that is compared.
      () => encodeQuestion({ kind: 'reconcile', partition: { ...partition, day: partition.day + ++turn }, message }),
      200
    )
    // 100 ms of work at 20 ms each, and what comes in meanwhile.
    expect(siege.answered).toBeGreaterThanOrEqual(5)
    expect(siege.answered).toBeLessThanOrEqual(8)
    expect(siege.cut).toBe(true)
    expect(siege.refused).toBeLessThanOrEqual(40)
  })

  it('does not keep others from catching up', async () => {
    await using victim = await startNode({ store: await storeWith(records), catchUpsMax: 4 })
    await using stack = new AsyncDisposableStack()
    const sieges: Promise<Siege>[] = []
    for (let identity = 0; identity < 4; identity++) {
      const attacker = stack.use(await createAttacker({ from: `127.51.0.${1 + identity}` }))
      sieges.push(besiege(attacker, addressOf(victim), () => reconcile(bomb(rangesPerRangeMax)), 15))
    }
    await using honest = await startNode()
    await honest.network.connect(addressOf(victim))
    await honest.store.until(() => honest.store.records.size === records.length)
    const all = await Promise.all(sieges)
    expect(all.reduce((sum, { answered }) => sum + answered, 0)).toBeGreaterThan(0)
    expect(honest.store.records.size).toBe(records.length)
  })
})

describe('questions with large answers', () => {
  it('about the same large records again and again read no more than an answer carries', async () => {
    const text = (number: number): string => `${number} ${'long story '.repeat(700)}`
    const large = Array.from({ length: 256 }, (_, number) =>
      sealListing(newSigner(), { number, nowMs, description: text(number), workBits: 0 })
    )
    const store = await storeWith(large)
    await using victim = await startNode({ store })
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    const talk = await openTalk(connection, protocol)
    const digests = large.map(({ id }) => recordDigest(id))
    const before = store.idsRead
    const answer = await talk?.ask(encodeQuestion({ kind: 'want', digests }))
    expect(answer?.length).toBeGreaterThan(200 * 1024)
    expect(answer?.length).toBeLessThan(272 * 1024)
    expect(store.idsRead - before).toBeLessThanOrEqual(2 * recordsPerRead)
  })

  it('are counted by the records asked for, and a page of the log for what it takes to read', async () => {
    const digests = records.slice(0, 99).map(({ id }) => recordDigest(id))
    let after = 0
    const store = await storeWith(records)
    const { epoch } = store
    const questions: [burst: number, question: () => Question][] = [
      [1000, () => ({ kind: 'want', digests })],
      [10_000, () => ({ kind: 'changes', scope, epoch, after: (after += records.length) })]
    ]
    for (const [burst, question] of questions) {
      await using victim = await startNode({ store, guard: { budgets: { [protocol]: { perSecond: 1, burst } } } })
      await using attacker = await createAttacker()
      const siege = await besiege(attacker, addressOf(victim), () => encodeQuestion(question()), 30)
      expect(siege.answered).toBe(10)
    }
  })

  it('are read from the store once, until it changes', async () => {
    const store = await storeWith(records.slice(1))
    await using victim = await startNode({ store })
    await using attacker = await createAttacker()
    const talk = await openTalk(await attacker.dial(addressOf(victim)), protocol)
    const question = encodeQuestion({ kind: 'want', digests: records.map(({ id }) => recordDigest(id)) })
    const first = await talk?.ask(question)
    const read = store.idsRead
    for (let turn = 0; turn < 5; turn++) expect(await talk?.ask(question)).toEqual(first)
    expect(store.idsRead).toBe(read)
    await store.put(records.slice(0, 1))
    expect((await talk?.ask(question))?.length).toBeGreaterThan(first?.length ?? 0)
    expect(store.idsRead).toBeGreaterThan(read)
  })
})

describe('what a session has been told', () => {
  const day = partition.day
  const listOfNothing = Uint8Array.of(0x61, 0, 0, 2, 0)
  const partitions: Question = { kind: 'partitions', scope, summary: new Uint8Array(16) }

  it.each<[string, (epoch: string) => Question[]]>([
    ['partitions', () => [partitions, partitions]],
    [
      'a page of the log',
      (epoch) => [
        { kind: 'changes', scope, epoch, after: 0 },
        { kind: 'changes', scope, epoch, after: 1 }
      ]
    ],
    [
      'the records of a page',
      (epoch) => [
        { kind: 'news', scope, epoch, after: 100 },
        { kind: 'news', scope, epoch, after: 99 }
      ]
    ],
    [
      'a list of all ids',
      () =>
        Array.from({ length: 4 }, () => ({
          kind: 'reconcile',
          partition: { ...partition, day },
          message: listOfNothing
        }))
    ]
  ])('and asks for again, %s, costs the asker the connection', async (_, questionsOf) => {
    await using victim = await startNode({ store: await storeWith(records) })
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    const talk = await openTalk(connection, protocol)
    const answers: (Uint8Array | undefined)[] = []
    for (const question of questionsOf(victim.store.epoch)) answers.push(await talk?.ask(encodeQuestion(question)))
    expect(answers[0]?.length).toBeGreaterThan(30)
    expect(answers.at(-1)).toBeUndefined()
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe(`${protocol}:asked-again`)
    while (connection.status === 'open') await setImmediate()
  })

  it('ends where there is more of it than can be remembered', async () => {
    await using victim = await startNode({ store: await storeWith(records) })
    await using attacker = await createAttacker()
    let market = 0
    const siege = await besiege(
      attacker,
      addressOf(victim),
      () => encodeQuestion({ ...partitions, scope: { ...scope, market: `m${market++}` } }),
      2 * scopesPerSessionMax
    )
    expect(siege).toEqual({ answered: 2 * scopesPerSessionMax - 1, refused: 1, cut: false })
  })
})

describe('places in catch-up', () => {
  it('that identities of one block hold and do not use go to whoever comes from elsewhere', async () => {
    await using victim = await startNode({ store: await storeWith(records), catchUpsMax: 4 })
    await using stack = new AsyncDisposableStack()
    for (let identity = 0; identity < 8; identity++) {
      const attacker = stack.use(await createAttacker({ from: `127.52.0.${1 + identity}` }))
      const talk = await openTalk(await attacker.dial(addressOf(victim)), protocol)
      const items = createItemVector(
        records.slice(75).map((one) => ({ timestampMs: one.createdAtMs, id: recordDigest(one.id) }))
      )
      const answer = await talk?.ask(reconcile(createReconciler(items, { initiator: true }).initiate()))
      expect(answer?.[0] === refusal).toBe(identity >= 4)
    }
    await using honest = await startNode()
    await honest.network.connect(addressOf(victim))
    await honest.store.until(() => honest.store.records.size === records.length)
    expect(honest.store.records.size).toBe(records.length)
  })

  it('are found by an honest peer while all others are asked without end', async () => {
    const description = listing.description
    await using victim = await startNode({ store: await storeWith(records), catchUpsMax: 2 })
    await using stack = new AsyncDisposableStack()
    const sieges = await Promise.all(
      [1, 2].map(async (identity) => {
        const attacker = stack.use(await createAttacker({ from: `127.5${identity}.0.1` }))
        const question = encodeQuestion({ kind: 'partitions', scope, summary: new Uint8Array(16) })
        return besiege(attacker, addressOf(victim), () => question, 300)
      })
    )
    expect(sieges.every(({ answered }) => answered > 0)).toBe(true)
    await using honest = await startNode()
    await honest.network.connect(addressOf(victim))
    await honest.store.until(() => honest.store.records.size === records.length)
    expect([...honest.store.records.values()][0]?.content).toMatchObject({ description })
  })
})
