import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createItemTree,
  createItemVector,
  createReconciler,
  NegentropyError,
  type Item,
  type ItemSet,
  type Reconciled,
  type Reconciler,
  type ReconcilerInit
} from '../src/index.ts'
import { MessageWriter } from '../src/message.ts'
import { anyItem } from './item-set-suite.ts'
import { keyOf } from './model.ts'
import { fromHex, itemOf, reconcileFully, toHex } from './session.ts'
import interop from './vectors/interop-nip77.json' with { type: 'json' }
import vectors from './vectors/protocol-v1.json' with { type: 'json' }

const nowMs = 1_790_000_000_000

describe('reconciler, byte for byte', () => {
  it.each(vectors.messages)('$name', ({ items, role, receives, sends }) => {
    const set = createItemVector(
      items.map(([timestampMs, id]) => ({ timestampMs: timestampMs as number, id: fromHex(id as string) }))
    )
    const reconciler = createReconciler(set, { initiator: role === 'initiator' })
    const message = receives === undefined ? reconciler.initiate() : reconciler.reconcile(fromHex(receives)).reply!
    expect(toHex(message)).toBe(sends)
  })

  it(`splits ${vectors.split.name}`, () => {
    const items = Array.from({ length: 400 }, (_, n) => itemOf(n, nowMs + 1_000 * n))
    expect(toHex(createReconciler(createItemTree(items), { initiator: true }).initiate())).toBe(vectors.split.sends)
  })

  it.each(interop.sessions)('answers a NIP-77 client: $name', ({ server, frameBytesMax, messages }) => {
    const items = server.flatMap(([from, to]) => itemsFromTo(from!, to!))
    const reconciler = createReconciler(createItemTree(items), { initiator: false, frameBytesMax })
    for (let i = 0; i < messages.length; i += 2) {
      expect(toHex(reconciler.reconcile(fromHex(messages[i]!)).reply!)).toBe(messages[i + 1])
    }
  })

  it.each(interop.sessions)('finds the difference from the NIP-77 bytes: $name', ({ client, server }) => {
    const ours = client.flatMap(([from, to]) => itemsFromTo(from!, to!))
    const theirs = server.flatMap(([from, to]) => itemsFromTo(from!, to!))
    expect(found(reconcileFully(createItemVector(ours), createItemTree(theirs)))).toEqual(difference(ours, theirs))
  })
})

describe('reconciler', () => {
  it('finds exactly the difference of any two sets, in frames of any size', () => {
    fc.assert(
      fc.property(anyTwoSets, anyFrameBytesMax, anyFrameBytesMax, (sets, oursMax, theirsMax) => {
        const [ours, theirs] = sets
        const outcome = reconcileFully(createItemTree(ours), createItemVector(theirs), {
          ours: { frameBytesMax: oursMax, rangesPerRangeMax: 18 },
          theirs: { frameBytesMax: theirsMax, rangesPerRangeMax: 18 }
        })
        expect(found(outcome)).toEqual(difference(ours, theirs))
        expect(outcome.largestMessageBytes).toBeLessThanOrEqual(Math.max(oursMax, theirsMax))
      }),
      { numRuns: 150 }
    )
  })

  it.each([4_096, 6_000, 65_536, 1 << 20])(
    'finds 1,500 scattered differences in 20,000 in frames of %s',
    (frameBytesMax) => {
      const all = Array.from({ length: 20_000 }, (_, n) => itemOf(n, nowMs + Math.floor(n / 5)))
      const ours = all.filter((_, n) => n % 27 !== 3)
      const theirs = all.filter((_, n) => n % 26 !== 4)
      const init = { frameBytesMax, roundsMax: 1_000, rangesPerRangeMax: 18 }
      const outcome = reconcileFully(createItemVector(ours), createItemTree(theirs), { ours: init, theirs: init })
      expect(found(outcome)).toEqual(difference(ours, theirs))
      expect(outcome.largestMessageBytes).toBeLessThanOrEqual(frameBytesMax)
      expect(outcome.have.length).toBe(new Set(outcome.have).size)
      expect(outcome.need.length).toBe(new Set(outcome.need).size)
    }
  )

  it('keeps to a bound on ranges by asking in more rounds', () => {
    const all = Array.from({ length: 5_000 }, (_, n) => itemOf(n, nowMs + n))
    const init = { rangesMax: 64, roundsMax: 1_000 }
    const [ours, theirs] = [all.filter((_, n) => n % 20 !== 3), all.filter((_, n) => n % 21 !== 4)]
    expect(found(reconcileFully(createItemTree(ours), createItemTree(theirs), { ours: init, theirs: init }))).toEqual(
      difference(ours, theirs)
    )
  })

  it('tells apart milliseconds that are equal in their low 32 bits', () => {
    const { id } = itemOf(1, 0)
    const sets = [5, 5 + 2 ** 32, 5 + 2 ** 40].map((timestampMs) => ({ timestampMs, id }))
    const many = Array.from({ length: 300 }, (_, n) => itemOf(n, nowMs + n * 2 ** 32))
    expect(found(reconcileFully(createItemTree(many), createItemTree(many.slice(0, -1))))).toEqual(
      difference(many, many.slice(0, -1))
    )
    expect(createItemTree(sets).size).toBe(3)
  })

  it('costs one round and 400 bytes for equal sets of 10,000', () => {
    const items = Array.from({ length: 10_000 }, (_, n) => itemOf(n, nowMs + n * 977))
    const outcome = reconcileFully(createItemTree(items), createItemVector(items))
    expect([outcome.rounds, outcome.have, outcome.need]).toEqual([1, [], []])
    expect(outcome.bytes).toBeLessThan(400)
  })

  it('costs 2 kB beside the ids for the newest 1,000 of 20,000, and fewer than 100 kB for 181 scattered ones', () => {
    const all = Array.from({ length: 20_000 }, (_, n) => itemOf(n, nowMs + n * 977))
    const newest = reconcileFully(createItemTree(all.slice(0, -1_000)), createItemTree(all))
    expect([newest.need.length, newest.rounds]).toEqual([1_000, 3])
    expect(newest.bytes - 32_000).toBeLessThan(2_000)
    const scattered = reconcileFully(createItemTree(all.filter((_, n) => n % 111 !== 5)), createItemTree(all))
    expect(scattered.need.length).toBe(181)
    expect(scattered.bytes).toBeLessThan(100_000)
  })

  it('has a responder list what is all different, and cut what is not', () => {
    const all = Array.from({ length: 20_000 }, (_, n) => itemOf(n, nowMs + n * 977))
    const init = { rangesMax: 2048, rangesPerRangeMax: 18 }
    const between = (here: Item[], there: Item[]) =>
      reconcileFully(createItemTree(here), createItemTree(there), { ours: init, theirs: init })
    const apart = between(
      all.filter((_, n) => n % 2 === 0),
      all.filter((_, n) => n % 2 === 1)
    )
    expect([apart.have.length, apart.need.length]).toEqual([10_000, 10_000])
    // All ids of theirs, and a sixth of that for what comes before: 455 kB where every range was cut to the end.
    expect(apart.bytes).toBeLessThan(380_000)
    const halved = between(
      all.filter((_, n) => n % 2 === 0),
      all
    )
    expect(halved.need.length).toBe(10_000)
    expect(halved.rounds).toBeLessThanOrEqual(4)
    // One in 250: 30 kB if every range of twenty were listed.
    const some = all.slice(0, 5_000)
    const few = between(
      some.filter((_, n) => n % 250 !== 7),
      some
    )
    expect(few.need.length).toBe(20)
    expect(few.bytes).toBeLessThan(12_000)
  })

  it('reports ids that stay as they are when the message is overwritten', () => {
    const initiator = createReconciler(createItemTree([]), { initiator: true })
    const { reply } = createReconciler(createItemTree([itemOf(1, 5)]), { initiator: false }).reconcile(
      initiator.initiate()
    )
    const shared = Buffer.from(reply!)
    const { need } = initiator.reconcile(shared)
    shared.fill(0)
    expect(need.map(toHex)).toEqual([toHex(itemOf(1, 5).id)])
  })

  it('ends while a set changes under it, and finds what did not change', () => {
    const all = Array.from({ length: 3_000 }, (_, n) => itemOf(n, nowMs + n))
    const tree = createItemTree(all.filter((_, n) => n % 50 !== 0))
    const initiator = createReconciler(tree, { initiator: true })
    const responder = createReconciler(createItemVector(all), { initiator: false })
    const need = new Set<string>()
    let message: Uint8Array | undefined = initiator.initiate()
    for (let round = 0; message; round++) {
      for (let n = 0; n < 20; n++) tree.insert(itemOf(10_000 + round * 20 + n, nowMs + n * 100))
      const result = initiator.reconcile(responder.reconcile(message).reply!)
      for (const id of result.need) need.add(toHex(id))
      message = result.reply
    }
    expect(all.filter((item) => !tree.has(item)).every((item) => need.has(toHex(item.id)))).toBe(true)
  })

  it('takes the largest message in steps of a few ranges, and answers as it would in one go', () => {
    const items = Array.from({ length: 5_000 }, (_, n) => itemOf(n, nowMs + n))
    const [inOne, inSteps] = [items, items].map((held) =>
      createReconciler(createItemTree(held), { initiator: false, rangesMax: 2_048 })
    ) as [Reconciler, Reconciler]
    const message = fingerprintsOf(2_040)
    const { outcome, steps } = stepped(inSteps, message, () => undefined)
    expect(outcome).toEqual(inOne.reconcile(message))
    expect(steps).toBeGreaterThanOrEqual(2_040 / 8 - 1)
  })

  it('finds what did not change, and nothing else of it, while sets change between two steps', () => {
    const all = Array.from({ length: 3_000 }, (_, n) => itemOf(n, nowMs + n))
    const [here, there] = [createItemTree(all.filter((_, n) => n % 50 !== 0)), createItemTree(all)]
    const initiator = createReconciler(here, { initiator: true })
    const responder = createReconciler(there, { initiator: false })
    const need = new Set<string>()
    let changes = 0
    const change = (): void => {
      const [late, early] = [++changes, ++changes].map((n) => itemOf(10_000 + n, nowMs + ((n * 37) % 3_000)))
      here.insert(early!)
      there.insert(late!)
      there.delete(all[(changes * 50 + 1) % 3_000]!)
    }
    let message: Uint8Array | undefined = initiator.initiate()
    while (message) {
      const { reply } = stepped(responder, message, change).outcome
      const { outcome } = stepped(initiator, reply!, change)
      for (const id of outcome.need) need.add(toHex(id))
      message = outcome.reply
    }
    expect(changes).toBeGreaterThan(20)
    const unchanged = all.filter((item) => here.has(item) && there.has(item))
    expect(unchanged.filter(({ id }) => need.has(toHex(id)))).toEqual([])
    expect(all.filter((item) => !here.has(item)).every((item) => need.has(toHex(item.id)))).toBe(true)
  })
})

/** Takes a message step by step; something happens between two of them. */
function stepped(
  reconciler: Reconciler,
  message: Uint8Array,
  between: () => void
): { outcome: Reconciled; steps: number } {
  const work = reconciler.reconcileInSteps(message)
  for (let steps = 0; ; steps++) {
    const { value, done } = work.next()
    if (done === true) return { outcome: value, steps }
    between()
  }
}

/** A message of ranges of two milliseconds each, of which nothing is true. */
function fingerprintsOf(ranges: number): Uint8Array {
  const writer = new MessageWriter({ frameBytesMax: 2 ** 20, rangesMax: ranges + 2 })
  for (let n = 1; n <= ranges; n++) {
    writer.putFingerprint({ timestampMs: nowMs + 2 * n, idPrefix: new Uint8Array(0) }, new Uint8Array(16))
  }
  return writer.finish()
}

describe('reconciler against a hostile peer', () => {
  it.each(vectors.invalidMessages)('refuses $name: $code', ({ hex, code }) => {
    expect(codeOf(() => responder().reconcile(fromHex(hex)))).toBe(code)
    expect(codeOf(() => opened().reconcile(fromHex(hex)))).toBe(code)
  })

  it.each([
    ['message-too-large', { messageBytesMax: 100 }, lists(4)],
    ['too-many-ids', { idsMax: 3 }, lists(4)],
    ['too-many-ids', { idsMax: 3 }, lists(2, 2)],
    ['too-many-ranges', { rangesMax: 64 }, lists(...Array.from({ length: 65 }, () => 0))]
  ] as const)('refuses with %s what is above %o', (code, init, message) => {
    expect(codeOf(() => responder(init).reconcile(message))).toBe(code)
    expect(codeOf(() => opened(init).reconcile(message))).toBe(code)
  })

  it('refuses more ranges than one becomes, to begin with and for each of those that it sent', () => {
    const items = Array.from({ length: 2_000 }, (_, n) => itemOf(n, nowMs + n))
    const ranges = (count: number): Uint8Array => lists(...Array.from({ length: count }, () => 0))
    const start = (): Reconciler =>
      createReconciler(createItemVector(items), { initiator: false, rangesPerRangeMax: 18 })
    expect(start().reconcile(ranges(18)).reply).toBeDefined()
    expect(codeOf(() => start().reconcile(ranges(19)))).toBe('too-many-ranges')
    const others = Array.from({ length: 2_000 }, (_, n) => itemOf(n + 5_000, nowMs + n))
    const opening = createReconciler(createItemVector(others), { initiator: true }).initiate()
    // Sixteen fingerprints that differ, of which each becomes fourteen.
    const [within, beyond] = [start(), start()]
    for (const session of [within, beyond]) expect(session.reconcile(opening).done).toBe(false)
    expect(within.reconcile(ranges(16 * 14 * 18)).reply).toBeDefined()
    expect(codeOf(() => beyond.reconcile(ranges(16 * 14 * 18 + 1)))).toBe('too-many-ranges')
  })

  it('expects nothing more about what it has listed', () => {
    const items = Array.from({ length: 100 }, (_, n) => itemOf(n, nowMs + n))
    const unequal = '00'.repeat(16)
    // Of ten ranges the last has all items, which makes thirteen fingerprints; the others have none, and are lists.
    const opening = fromHex(`61${`020001${unequal}`.repeat(9)}000001${unequal}`)
    const skips = (count: number): Uint8Array => fromHex(`61${'010000'.repeat(count)}`)
    const opened = (): Reconciler => {
      const session = createReconciler(createItemVector(items), { initiator: false, rangesPerRangeMax: 18 })
      session.reconcile(opening)
      return session
    }
    expect(opened().reconcile(skips(13 * 18)).reply).toBeDefined()
    expect(codeOf(() => opened().reconcile(skips(13 * 18 + 1)))).toBe('too-many-ranges')
  })

  it('accepts what is just within each bound', () => {
    const init = { messageBytesMax: lists(2, 2).length, idsMax: 4, rangesMax: 64 }
    expect(responder(init).reconcile(lists(2, 2)).reply).toBeDefined()
  })

  it('stops a peer that answers the same range for ever', () => {
    const unequal = fromHex('6100000100000000000000000000000000000000')
    const initiator = opened({ roundsMax: 5 })
    for (let round = 0; round < 5; round++) expect(initiator.reconcile(unequal).done).toBe(false)
    expect(codeOf(() => initiator.reconcile(unequal))).toBe('too-many-rounds')
  })

  it('stops a peer that has ever more ids', () => {
    const initiator = opened({ resultsMax: 250 })
    const unequalTail = withTail(lists(20))
    let needed = 0
    const code = codeOf(() => {
      for (;;) needed += initiator.reconcile(unequalTail).need.length
    })
    expect([code, needed <= 250]).toEqual(['too-many-results', true])
  })

  it('is finished with a session after an error', () => {
    const reconciler = responder()
    expect(codeOf(() => reconciler.reconcile(fromHex('51')))).toBe('bad-version')
    expect(codeOf(() => reconciler.reconcile(fromHex('61')))).toBe('session-ended')
  })

  it('is finished with a session when nothing more is to be asked', () => {
    const reconciler = opened()
    expect(reconciler.reconcile(fromHex('61'))).toEqual({ have: [], need: [], done: true })
    expect(codeOf(() => reconciler.reconcile(fromHex('61')))).toBe('session-ended')
  })

  it('does not answer an initiator of another version as one', () => {
    expect(codeOf(() => opened().reconcile(fromHex('62')))).toBe('bad-version')
  })

  it.each([4_096, 65_536, 1 << 20])('answers 20,000 unequal ranges within %s bytes', (frameBytesMax) => {
    const items = Array.from({ length: 40_000 }, (_, n) => itemOf(n, n))
    const message = unequalRanges(20_000, 2)
    const { reply } = createReconciler(createItemTree(items), { initiator: false, frameBytesMax }).reconcile(message)
    expect(reply!.length).toBeLessThanOrEqual(frameBytesMax)
  })

  it('answers a request for everything within its frame', () => {
    const items = Array.from({ length: 50_000 }, (_, n) => itemOf(n, n))
    const { reply } = createReconciler(createItemTree(items), { initiator: false }).reconcile(fromHex('6100000200'))
    expect(reply!.length).toBeGreaterThan(1_000_000)
    expect(reply!.length).toBeLessThanOrEqual(1 << 20)
  })

  it('answers anything with a message or with a code of its own', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(verdicts(Uint8Array.from([0x61, ...bytes]))).toEqual(eachHandled)
      }),
      {
        numRuns: 2_000
      }
    )
    const { messages } = reconcileFully(setOf(200, 3), setOf(200, 4))
    const edit = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.boolean() })
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.array(edit, { minLength: 1, maxLength: 4 }), (message, edits) => {
        expect(verdicts(edits.reduce(edited, message))).toEqual(eachHandled)
      }),
      { numRuns: 2_000 }
    )
  })
})

describe('reconciler set-up', () => {
  it.each([
    { frameBytesMax: 4_095 },
    { messageBytesMax: 0 },
    { roundsMax: 0 },
    { rangesMax: 63 },
    { rangesPerRangeMax: 17 },
    { idsMax: -1 },
    { resultsMax: 0.5 },
    { frameBytesMax: NaN }
  ])('refuses %o', (init) => {
    expect(codeOf(() => responder(init))).toBe('bad-limit')
  })

  it('refuses calls out of turn', () => {
    expect(codeOf(() => responder().initiate())).toBe('misuse')
    expect(codeOf(() => opened().initiate())).toBe('misuse')
    expect(codeOf(() => createReconciler(setOf(1, 2), { initiator: true }).reconcile(fromHex('61')))).toBe('misuse')
  })
})

const handled = expect.stringMatching(/^(reply 0x61|end|[a-z-]+)$/)
const eachHandled = [handled, handled]

/** A common part, and items only one side has, all drawn from the same crowded space. */
const anyTwoSets = fc
  .tuple(fc.nat(600), fc.array(anyItem, { maxLength: 150 }), fc.array(anyItem, { maxLength: 150 }), fc.nat(9))
  .map(([common, ours, theirs, perMs]): [Item[], Item[]] => {
    const both = Array.from({ length: common }, (_, n) => itemOf(n, nowMs + Math.floor(n / (perMs + 1))))
    return [
      [...both, ...withTimestampOfId(ours)],
      [...both, ...withTimestampOfId(theirs)]
    ]
  })
const anyFrameBytesMax = fc.constantFrom(4_096, 4_097, 5_000, 16_384, 1 << 20)

/** The protocol asks that an id has one timestamp, the same everywhere: so the id decides it. */
function withTimestampOfId(items: Item[]): Item[] {
  return items.map(({ id }) => ({ id, timestampMs: [0, 1, 2 ** 32, nowMs][id[31]! % 4]! }))
}

/** What a session found, each id once and in order. */
function found({ have, need }: { have: string[]; need: string[] }): { have: string[]; need: string[] } {
  return { have: [...new Set(have)].toSorted(), need: [...new Set(need)].toSorted() }
}

function difference(ours: Item[], theirs: Item[]): { have: string[]; need: string[] } {
  return { have: onlyIn(ours, new Set(theirs.map(keyOf))), need: onlyIn(theirs, new Set(ours.map(keyOf))) }
}

function onlyIn(items: Item[], other: Set<string>): string[] {
  return [...new Set(items.filter((item) => !other.has(keyOf(item))).map((item) => toHex(item.id)))].toSorted()
}

function itemsFromTo(from: number, to: number): Item[] {
  return Array.from({ length: to - from }, (_, i) => itemOf(from + i, 1_700_000_000 + Math.floor((from + i) / 3)))
}

function setOf(count: number, leaveOut: number): ItemSet {
  return createItemVector(
    Array.from({ length: count }, (_, n) => itemOf(n, nowMs + n)).filter((_, n) => n % 20 !== leaveOut)
  )
}

function responder(init: Partial<ReconcilerInit> = {}): ReturnType<typeof createReconciler> {
  return createReconciler(setOf(100, 3), { ...init, initiator: false })
}

function opened(init: Partial<ReconcilerInit> = {}): ReturnType<typeof createReconciler> {
  const reconciler = createReconciler(setOf(100, 3), { ...init, initiator: true })
  reconciler.initiate()
  return reconciler
}

/** A message that lists so many ids for each of the first milliseconds. */
function lists(...counts: number[]): Uint8Array {
  return Uint8Array.from([
    0x61,
    ...counts.flatMap((count, n) => [
      2,
      0,
      2,
      count,
      ...Array.from({ length: count }, (_, i) => [...itemOf(n * 100 + i, 0).id]).flat()
    ])
  ])
}

/** The same message with an unequal fingerprint for the rest, so that the session goes on. */
function withTail(message: Uint8Array): Uint8Array {
  return Uint8Array.from([...message, 0, 0, 1, ...new Uint8Array(16)])
}

function unequalRanges(count: number, stepMs: number): Uint8Array {
  return Uint8Array.from([
    0x61,
    ...Array.from({ length: count }, () => [stepMs + 1, 0, 1, ...new Uint8Array(16)]).flat()
  ])
}

function edited(message: Uint8Array, { at, byte, cut }: { at: number; byte: number; cut: boolean }): Uint8Array {
  const copy = message.slice(0, cut ? at % (message.length + 1) : undefined)
  if (copy.length > 0) copy[at % copy.length] = byte
  return copy
}

/** What came of a message: a well-formed reply, the end, or a code; anything else is thrown on. */
function verdicts(message: Uint8Array): string[] {
  return [responder(), opened()].map((reconciler) => {
    let verdict = ''
    const code = codeOf(() => {
      const { reply } = reconciler.reconcile(message)
      verdict = reply ? `reply 0x${reply[0]!.toString(16)}` : 'end'
    })
    return verdict || code
  })
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof NegentropyError) return error.code
    throw error
  }
  return 'nothing thrown'
}
