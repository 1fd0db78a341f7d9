import { bytesToHex } from '@noble/hashes/utils.js'
import type { Did } from '@souk/records'
import { afterEach, describe, expect, test } from 'vitest'
import { createContacts } from '../../src/messages/contacts.ts'
import { type Copy, createCopies } from '../../src/messages/copies.ts'
import type { Reachable } from '../../src/messages/devices.ts'
import { openExhibit } from '../../src/messages/exhibit.ts'
import { introductionsPerMinuteMax } from '../../src/messages/limits.ts'
import { correspondent } from './correspondent.ts'
import { createTown, type Home, type HomeInit, openHome, openRelay, type Town } from './household.ts'

const day = 86_400_000

/** For what happens elsewhere and tells nobody here. */
const patience = { timeout: 20_000 }

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]()
})

const home = async (town: Town, init: HomeInit = {}): Promise<Home> => {
  const made = await openHome(town, init)
  open.push(made)
  return made
}

const relayIn = async (town: Town) => {
  const made = await openRelay(town)
  open.push(made)
  return made
}

const copiesOf = async (writer: Home, reader: Home): Promise<Copy[]> => {
  const copies = createCopies({ store: writer.store })
  const found = await copies.get({ to: reader.who.did, messageId: 'm' }, reader.peer.peerId.toString())
  return found === undefined ? [] : [found]
}

const nameOf = ({ who }: Home): string => bytesToHex(who.signer.publicKey)

const ids = ({ received }: Home): string[] => received.map(({ messageId }) => messageId)

describe('a letter left at a relay', () => {
  test('is delivered, in the eyes of its writer too, within a second of being processed', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    expect(await ana.write(bo.who, 'm-1')).toBe('at-relay')
    expect(ana.delivered).toEqual([])

    const again = await home(town, { ...bo.install, relays: [relay.peer] })
    await again.until(() => again.received.length === 1)
    const startedAt = performance.now()
    await ana.until(() => ana.delivered.includes('m-1'))
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(ids(again)).toEqual(['m-1'])
    expect(relay.mailbox.held().envelopes).toBe(0)
  })

  test('is collected at a relay that could not be asked when it was met', async () => {
    const town = createTown()
    const relay = await openRelay(town, { refusals: 1 })
    open.push(relay)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    expect(await ana.write(bo.who, 'm-1')).toBe('at-relay')
    const again = await home(town, { ...bo.install, relays: [relay.peer] })
    await again.until(() => again.received.length === 1)
  })

  test('is collected at a relay that was met before the post was opened', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    await ana.write(bo.who, 'm-1')
    const again = await home(town, { ...bo.install, met: [relay.peer] })
    await again.until(() => again.received.length === 1)
    expect(ids(again)).toEqual(['m-1'])
  })

  test('is acknowledged at the writer’s relay when the two are never online together', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town, { relays: [relay.peer] })
    await bo[Symbol.asyncDispose]()
    expect(await ana.write(bo.who, 'm-1')).toBe('at-relay')
    await ana[Symbol.asyncDispose]()

    const boAgain = await home(town, { ...bo.install, relays: [relay.peer] })
    await boAgain.until(() => boAgain.received.length === 1)
    await expect.poll(() => relay.count(`d/${nameOf(ana)}`), patience).toBe(1)
    await boAgain[Symbol.asyncDispose]()
    const anaAgain = await home(town, { ...ana.install, relays: [relay.peer] })
    await anaAgain.until(() => anaAgain.delivered.length === 1)
    expect(anaAgain.delivered).toEqual(['m-1'])
    await expect.poll(() => relay.mailbox.held().envelopes, patience).toBe(0)
  })

  test('is there once, however often it is offered', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    for (let attempt = 0; attempt < 3; attempt++) expect(await ana.write(bo.who, 'm-1')).toBe('at-relay')
    expect(relay.mailbox.held().envelopes).toBe(1)
  })

  test('comes again when its acknowledgement was lost, and is acknowledged again', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const unknown = new Map<Did, Reachable>()
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    await ana.write(bo.who, 'm-1')
    const lonely = await home(town, { ...bo.install, relays: [relay.peer], profiles: unknown })
    await lonely.until(() => lonely.received.length === 1)
    await lonely[Symbol.asyncDispose]()
    expect(ana.delivered).toEqual([])

    expect(await ana.write(bo.who, 'm-1')).toBe('at-relay')
    await home(town, { ...bo.install, relays: [relay.peer] })
    await ana.until(() => ana.delivered.length === 1)
  })

  test('needs work until the recipient has written back, and where the relay has not heard of that', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    for (const id of ['1', '2']) expect(await ana.write(bo.who, id)).toBe('at-relay')
    expect(await relay.count('q')).toBe(2)
    const again = await home(town, { ...bo.install, relays: [relay.peer] })
    await ana.until(() => ana.delivered.length === 2)
    const { signer, messageKey } = ana.who
    const contacts = createContacts({ store: ana.store }, { publicKey: signer.publicKey, messageKey })
    await expect.poll(() => contacts.signerFor(bo.who.did), patience).toBeDefined()
    await expect.poll(() => relay.count(`k/${nameOf(bo)}`), patience).toBe(1)
    await again[Symbol.asyncDispose]()

    expect(await ana.write(bo.who, '3')).toBe('at-relay')
    expect([await relay.count('b'), await relay.count('q')]).toEqual([1, 0])
    await relay.forgetContacts()
    expect(await ana.write(bo.who, '4')).toBe('at-relay')
    expect([await relay.count('b'), await relay.count('q')]).toEqual([1, 1])
  })

  test('is acknowledged by its recipient, and by nobody else', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    await ana.write(bo.who, 'm')
    const [copy] = await copiesOf(ana, bo)
    const eve = await correspondent({ onMessage: async () => {} })
    open.push({
      async [Symbol.asyncDispose]() {
        await eve.messages[Symbol.asyncDispose]()
        await eve.peer.stop()
      }
    })
    const { key: prekey } = ana.post.prekeys({ expiresAtMs: 0 })[0] as Reachable['prekeys'][number]
    const stolen = { to: ana.who.did, prekey, messageId: 'ack', payload: new Uint8Array(), acks: copy?.proofs ?? [] }
    await eve.messages.deliver(await eve.messages.prepare(stolen), [ana.peer.getMultiaddrs()])
    expect(ana.delivered).toEqual([])
    expect(await copiesOf(ana, bo)).toHaveLength(1)
  })
})

test('of strangers in numbers, ten a minute are acknowledged with work, the others when they offer theirs again', async () => {
  const town = createTown()
  const relay = await relayIn(town)
  const bo = await home(town, { relays: [relay.peer] })
  const strangers = await Promise.all(Array.from({ length: introductionsPerMinuteMax + 2 }, () => home(town)))
  await bo[Symbol.asyncDispose]()
  const written = await Promise.all(strangers.map((one) => one.write(bo.who, 'm')))
  expect(new Set(written)).toEqual(new Set(['at-relay']))
  const again = await home(town, { ...bo.install, relays: [relay.peer] })
  const told = () => strangers.filter(({ delivered }) => delivered.length > 0)
  await expect.poll(() => told().length, patience).toBe(introductionsPerMinuteMax)
  expect(again.received).toHaveLength(strangers.length)
  town.now += 60_000
  const waiting = strangers.filter(({ delivered }) => delivered.length === 0)
  expect(await Promise.all(waiting.map((one) => one.write(bo.who, 'm')))).toEqual(['delivered', 'delivered'])
})

describe('two installations of one identity', () => {
  test('both get every letter; one acknowledgement makes it delivered', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const desk = await home(town, { relays: [relay.peer] })
    const phone = await home(town, { who: desk.who, relays: [relay.peer] })
    const ana = await home(town)
    expect(await ana.write(desk.who, '1')).toBe('delivered')
    for (const one of [desk, phone]) await one.until(() => one.received.length === 1)
    expect([ids(desk), ids(phone)]).toEqual([['1'], ['1']])
    // What the phone has not yet acknowledged when it goes would be left for it again.
    await expect.poll(() => createCopies({ store: ana.store }).left(), patience).toEqual([])

    await phone[Symbol.asyncDispose]()
    expect(await ana.write(desk.who, '2')).toBe('delivered')
    expect(ids(desk)).toEqual(['1', '2'])
    await expect.poll(() => relay.mailbox.held().envelopes, patience).toBe(1)
    const later = await home(town, { ...phone.install, relays: [relay.peer] })
    await later.until(() => later.received.length === 1)
    expect(ids(later)).toEqual(['2'])
    await expect.poll(() => createCopies({ store: ana.store }).left(), patience).toEqual([])
  })

  test('each leaves at the relay what only the other can open', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const desk = await home(town, { relays: [relay.peer] })
    const phone = await home(town, { who: desk.who, relays: [relay.peer] })
    const ana = await home(town)
    await desk[Symbol.asyncDispose]()
    await phone[Symbol.asyncDispose]()
    expect(await ana.write(desk.who, '1')).toBe('at-relay')
    const deskAgain = await home(town, { ...desk.install, relays: [relay.peer] })
    await deskAgain.until(() => deskAgain.received.length === 1)
    await expect.poll(() => relay.mailbox.held().envelopes, patience).toBe(1)
    expect(deskAgain.problems).toEqual([])
    const phoneAgain = await home(town, { ...phone.install, relays: [relay.peer] })
    await phoneAgain.until(() => phoneAgain.received.length === 1)
    await expect.poll(() => relay.mailbox.held().envelopes, patience).toBe(0)
  })

  test('who sleeps is brought its copy without any relay, when it comes', async () => {
    const town = createTown()
    const desk = await home(town)
    const phone = await home(town, { who: desk.who })
    const ana = await home(town)
    await phone[Symbol.asyncDispose]()
    expect(await ana.write(desk.who, '1')).toBe('delivered')
    const copies = createCopies({ store: ana.store })
    expect(await copies.left()).toMatchObject([{ messageId: '1', device: phone.peer.peerId.toString() }])
    // Given up after a fortnight, as relays do.
    town.now += 16 * day
    await ana.post.tend()
    expect(await copies.left()).toEqual([])
  })
})

describe('prekeys', () => {
  test('change every week; a letter to the one before is read for a fortnight more', async () => {
    const town = createTown()
    const bo = await home(town)
    const stale = new Map(town.profiles)
    const ana = await home(town, { profiles: stale })
    const first = bo.post.prekeys({ expiresAtMs: 0 })[0]?.key
    town.now += 7 * day
    await bo.post.tend()
    expect(bo.post.prekeys({ expiresAtMs: 0 })[0]?.key).not.toEqual(first)
    town.now += 14 * day
    await bo.post.tend()
    expect(await ana.write(bo.who, 'to-the-old-one')).toBe('delivered')
    expect(bo.received).toHaveLength(1)
  })

  test('that are gone are noticed by both sides, and the letter goes again under a fresh one', async () => {
    const town = createTown()
    const bo = await home(town)
    const stale = new Map(town.profiles)
    const ana = await home(town, { profiles: stale })
    town.now += 7 * day
    await bo.post.tend()
    town.now += 15 * day
    await bo.post.tend()
    bo.publish()
    await expect(ana.write(bo.who, 'm')).rejects.toMatchObject({ code: 'unknown-prekey' })
    expect(bo.received).toEqual([])
    expect(ana.problems).toEqual(['profile'])
    expect(await ana.write(bo.who, 'm')).toBe('delivered')
    expect(ids(bo)).toEqual(['m'])
  })

  test('lost with the disk, of an identity restored from its phrase, lose no letter that waits at a relay', async () => {
    const town = createTown()
    const relay = await relayIn(town)
    const bo = await home(town, { relays: [relay.peer] })
    const ana = await home(town)
    await bo[Symbol.asyncDispose]()
    expect(await ana.write(bo.who, 'm')).toBe('at-relay')

    town.profiles.delete(bo.who.did)
    const restored = await home(town, { who: bo.who, relays: [relay.peer] })
    await restored.until(() => restored.problems.includes('unknown-prekey'))
    expect(restored.received).toEqual([])
    expect(await ana.write(bo.who, 'm')).toBe('delivered')
    expect(ids(restored)).toEqual(['m'])
  })
})

describe('who is where', () => {
  test('is asked when the addresses of a profile fail, and not before', async () => {
    const town = createTown()
    const bo = await home(town)
    const asked: Did[] = []
    const id = bo.peer.peerId.toString()
    const locate = async (did: Did): Promise<Pick<Reachable, 'peers'>> => {
      asked.push(did)
      return { peers: [{ id, addresses: bo.peer.getMultiaddrs().map(String) }] }
    }
    const ana = await home(town, { locate })
    expect(await ana.write(bo.who, '1')).toBe('delivered')
    expect(asked).toEqual([])
    const reach = town.profiles.get(bo.who.did) as Reachable
    await ana.peer.hangUp(bo.peer.peerId)
    await ana.peer.peerStore.delete(bo.peer.peerId)
    town.profiles.set(bo.who.did, { ...reach, peers: [{ id, addresses: ['/ip4/127.0.0.1/tcp/1'] }] })
    expect(await ana.write(bo.who, '2')).toBe('delivered')
    expect(asked).toEqual([bo.who.did])
    expect(ids(bo)).toEqual(['1', '2'])
  })
})

test('a letter can be shown to an arbitrator by who received it', async () => {
  const town = createTown()
  const [ana, bo] = [await home(town), await home(town)]
  await ana.write(bo.who, 'm', 'It leaves on Monday.')
  const shown = openExhibit(bo.received[0]?.exhibit() ?? new Uint8Array())
  expect(shown).toMatchObject({ from: ana.who.did, to: bo.who.did, messageId: 'm' })
  expect(new TextDecoder().decode(shown.payload)).toBe('It leaves on Monday.')
})
