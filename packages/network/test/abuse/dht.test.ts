import { randomBytes } from 'node:crypto'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { MemoryDatastore } from 'datastore-core'
import { decodeCanonical, encodeCanonical, recordDigest, sealRecord } from '@souk/records'
import { describe, expect, it } from 'vitest'
import { feedbackOf, person, resealed } from '../feedback/trade.ts'
import { presenceKey } from '../../src/presence/value.ts'
import { addressOf, startNode, type TestNode, type TestNodeInit } from '../support/net.ts'
import { type Attacker, createAttacker, openTalk } from './attacker.ts'
import { encodeKad, keyOf, type KadMessage, types } from './kad-wire.ts'

const protocol = '/souk/kad/1.0.0'
const dayMs = 86_400_000

interface Victim extends TestNode {
  /** DHT values in its datastore, and their bytes. */
  stored(): Promise<{ values: number; bytes: number }>
}

async function startVictim(init: TestNodeInit = {}): Promise<Victim> {
  const datastore = new MemoryDatastore()
  const node = await startNode({ datastore, ...init })
  return {
    ...node,
    async stored() {
      const sizes: number[] = []
      for await (const { value } of datastore.query({ prefix: '/dht/' })) sizes.push(value.length)
      return { values: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
    }
  }
}

/** Sends messages one after the other, on a new stream whenever the victim has ended the last. Returns how many were answered. */
async function send(attacker: Attacker, victim: TestNode, messages: Iterable<KadMessage>): Promise<number> {
  const connection = await attacker.dial(addressOf(victim))
  let answered = 0
  let talk = await openTalk(connection, protocol)
  for (const message of messages) {
    if (talk === undefined) return answered
    if ((await talk.ask(encodeKad(message))) !== undefined) answered++
    else talk = await openTalk(connection, protocol)
  }
  return answered
}

function put(key: Uint8Array, value: Uint8Array, recordKey = key): KadMessage {
  return { type: types.putValue, key, record: { key: recordKey, value } }
}

/** Valid feedback under its key; each is a trade of its own between the same two. */
function* validPuts(count: number, nowMs = Date.now()): Generator<KadMessage> {
  const [buyer, seller] = [person(), person()]
  for (let index = 0; index < count; index++) {
    const record = feedbackOf({ buyer, seller, nowMs, text: `${index} ${'kind '.repeat(200)}` })
    yield put(keyOf('souk', recordDigest(record.id)), record.bytes)
  }
}

function presenceDraft(seq: number, nowMs: number): Parameters<typeof sealRecord<'presence'>>[0] {
  const saidAt = nowMs
  const content = { peers: [{ id: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp', addresses: [], saidAt }] }
  const times = { createdAtMs: nowMs, expiresAtMs: nowMs + dayMs }
  return { kind: 'presence', market: 'main', key: '', seq, ...times, content }
}

/** Ways to put what ought not to be there; each made anew, and none of them slow to make. */
async function badPuts(): Promise<Record<string, () => KadMessage>> {
  const [buyer, seller] = [person(), person()]
  const record = feedbackOf({ buyer, seller })
  const key = keyOf('souk', recordDigest(record.id))
  const expired = feedbackOf({ buyer, seller, nowMs: Date.now() - 800 * dayMs, lifeMs: 700 * dayMs })
  const oneSided = resealed(record, buyer, (content) => ({
    ...content,
    receipt: { ...content.receipt, sellerSig: new Uint8Array(64) }
  }))
  const { publicKey } = await generateKeyPair('Ed25519')
  const ownKey = publicKeyToProtobuf(publicKey)
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const forged = (): Uint8Array => {
    const { body } = decodeCanonical(record.bytes, { bytesMax: 8192 }) as { body: Uint8Array }
    return encodeCanonical({ body, sig: random(64) })
  }
  return {
    garbage: () => put(keyOf('souk', random(32)), random(200)),
    'good feedback under the key of another': () => put(keyOf('souk', random(32)), record.bytes),
    'a forged signature': () => put(key, forged()),
    'a receipt that the rated one did not sign': () => put(keyOf('souk', oneSided.digest), oneSided.bytes),
    'feedback that has expired': () => put(keyOf('souk', recordDigest(expired.id)), expired.bytes),
    'more than a feedback may have': () => put(keyOf('souk', random(32)), random(9000)),
    'a public key': () => put(keyOf('pk', publicKey.toMultihash().bytes), ownKey),
    'a name of Object': () => put(keyOf('constructor', random(32)), random(1000)),
    'another name of Object': () => put(keyOf('toString', random(32)), random(1000)),
    'our key outside, another inside': () => put(key, random(1000), keyOf('constructor', random(32))),
    'a namespace of nobody': () => put(keyOf('ipns', random(32)), random(1000)),
    'no namespace': () => put(random(32), random(100))
  }
}

describe('10,000 puts of what ought not to be in the DHT', async () => {
  const ways = await badPuts()

  it('leave nothing, even of a peer that is never cut off', async () => {
    await using attacker = await createAttacker()
    const without = { perSecond: 1e6, burst: 1e6 }
    const budgets = { [protocol]: without, value: without }
    await using victim = await startVictim({ guard: { allow: [attacker.libp2p.peerId.toString()], budgets } })
    const each = Object.values(ways)
    const messages = Array.from({ length: 10_000 }, (_, index) => each[index % each.length]!())
    expect(await send(attacker, victim, messages)).toBe(0)
    expect(await victim.stored()).toEqual({ values: 0, bytes: 0 })
  }, 300_000)

  it.each(Object.keys(ways))('cost a peer its connection: %s', async (name) => {
    await using victim = await startVictim()
    await using attacker = await createAttacker()
    let sent = 0
    function* messages(): Generator<KadMessage> {
      for (; sent < 50; sent++) yield ways[name]!()
    }
    expect(await send(attacker, victim, messages())).toBe(0)
    // Clocks differ: what has run out costs a fifth of what cannot be right.
    expect(sent).toBeLessThanOrEqual(name === 'feedback that has expired' ? 22 : 6)
    expect(victim.network.guard.refuses(attacker.libp2p.peerId)).toBe(true)
    expect(await victim.stored()).toEqual({ values: 0, bytes: 0 })
  })
})

describe('good values in bulk', () => {
  it('of one peer take a megabyte at most', async () => {
    // As many as a peer brings in a quarter of an hour.
    const many = { perSecond: 1, burst: 900 }
    const guard = { budgets: { value: many, [protocol]: many } }
    await using victim = await startVictim({ guard })
    await using attacker = await createAttacker()
    const answered = await send(attacker, victim, validPuts(900))
    const { values, bytes } = await victim.stored()
    expect(bytes).toBeLessThanOrEqual(1_000_000)
    expect(bytes).toBeGreaterThan(900_000)
    expect(answered).toBe(values)
    expect(victim.network.guard.refuses(attacker.libp2p.peerId)).toBe(false)
  }, 180_000)

  it('are checked once, however often they are put, and no more of them than a peer may have checked', async () => {
    const guard = { budgets: { value: { perSecond: 0.001, burst: 3 } } }
    await using victim = await startVictim({ guard })
    await using attacker = await createAttacker()
    const five = [...validPuts(5)]
    expect(await send(attacker, victim, [...five, ...five, ...five])).toBe(9)
    expect((await victim.stored()).values).toBe(3)
    expect(victim.network.guard.refuses(attacker.libp2p.peerId)).toBe(false)
  })

  it('are written once an hour for whoever puts them again, and for anybody else each time', async () => {
    let [nowMs, writes] = [Date.now(), 0]
    const datastore = new (class extends MemoryDatastore {
      override put(...args: Parameters<MemoryDatastore['put']>): ReturnType<MemoryDatastore['put']> {
        if (args[0].toString().startsWith('/dht/record')) writes++
        return super.put(...args)
      }
    })()
    await using victim = await startVictim({ datastore, now: () => nowMs })
    await using first = await createAttacker()
    await using second = await createAttacker()
    const one = [...validPuts(1)]
    expect(await send(first, victim, [...one, ...one, ...one])).toBe(3)
    expect(writes).toBe(1)
    expect(await send(second, victim, [...one, ...one])).toBe(2)
    expect(writes).toBe(2)
    nowMs += 3_600_000
    expect(await send(second, victim, one)).toBe(1)
    expect(writes).toBe(3)
  })

  it('that have given way are not said to be held still', async () => {
    const puts = [...validPuts(4)]
    const bytesMax = 4.5 * (puts[0]!.record!.value.length + 100)
    await using victim = await startVictim({ dhtLimits: { bytesMax } })
    await using first = await createAttacker({ from: '127.9.0.1' })
    await using second = await createAttacker({ from: '127.8.0.1' })
    expect(await send(first, victim, puts)).toBe(4)
    expect(await send(second, victim, validPuts(2))).toBe(2)
    const { values } = await victim.stored()
    // The oldest is not there any more, and is not said to be.
    expect(await send(first, victim, puts.slice(0, 1))).toBe(0)
    expect((await victim.stored()).values).toBe(values)
  })

  it('of many identities give way to somebody from elsewhere', async () => {
    const dhtLimits = { bytesPerPeerMax: 20_000, bytesPerBlockMax: 1e9, bytesMax: 60_000 }
    await using victim = await startVictim({ dhtLimits })
    for (let identity = 0; identity < 4; identity++) {
      await using attacker = await createAttacker({ from: '127.9.0.1' })
      await send(attacker, victim, validPuts(20))
    }
    expect((await victim.stored()).bytes).toBeGreaterThan(55_000)
    await using honest = await createAttacker({ from: '127.8.0.1' })
    expect(await send(honest, victim, validPuts(5))).toBe(5)
    expect((await victim.stored()).bytes).toBeLessThanOrEqual(60_000)
  })

  it('of one block of addresses take what a block may have', async () => {
    await using victim = await startVictim({ dhtLimits: { bytesPerPeerMax: 20_000, bytesPerBlockMax: 50_000 } })
    for (let identity = 0; identity < 5; identity++) {
      await using attacker = await createAttacker({ from: `127.9.0.${identity + 1}` })
      await send(attacker, victim, validPuts(15))
    }
    expect((await victim.stored()).bytes).toBeLessThanOrEqual(50_000)
  })

  it('lapse after two days, and make room', async () => {
    let nowMs = Date.now()
    await using victim = await startVictim({ now: () => nowMs, dhtLimits: { bytesPerPeerMax: 5000 } })
    await using attacker = await createAttacker()
    const first = await send(attacker, victim, validPuts(10))
    expect(first).toBeLessThan(5)
    nowMs += 48 * 3_600_000
    expect(await send(attacker, victim, validPuts(10, nowMs))).toBe(first)
    expect((await victim.stored()).values).toBe(first)
  })
})

describe('a presence', () => {
  it('gives way to no older one, however they race', async () => {
    const datastore = new MemoryDatastore()
    await using victim = await startNode({ datastore })
    await using stack = new AsyncDisposableStack()
    const signer = person()
    const nowMs = Date.now()
    const presences = [1, 2, 3, 4].map((seq) => sealRecord(presenceDraft(seq, nowMs), signer))
    const key = presenceKey(signer.publicKey)
    const connections = await Promise.all(
      Array.from({ length: 8 }, async () => stack.use(await createAttacker()).dial(addressOf(victim)))
    )
    await Promise.all(
      connections.map(async (connection, at) => {
        const { bytes } = presences[at % presences.length]!
        await (await openTalk(connection, protocol))?.ask(encodeKad(put(key, bytes)))
      })
    )
    const rows: Uint8Array[] = []
    for await (const { value } of datastore.query({ prefix: '/dht/record' })) rows.push(value)
    expect(rows).toHaveLength(1)
    expect(Buffer.from(rows[0]!).includes(Buffer.from(presences[3]!.bytes))).toBe(true)
  })
})

describe('what else the DHT is asked', () => {
  it('keeps no provider records', async () => {
    await using victim = await startVictim()
    await using attacker = await createAttacker()
    const id = attacker.libp2p.peerId.toMultihash().bytes
    const cid = (): Uint8Array => new Uint8Array([0x01, 0x55, 0x12, 0x20, ...randomBytes(32)])
    const address = new Uint8Array([4, 127, 0, 0, 1, 6, 0x1f, 0x90])
    const messages = Array.from({ length: 20 }, () => ({
      type: types.addProvider,
      key: cid(),
      provider: { id, address }
    }))
    await send(attacker, victim, messages)
    expect((await victim.stored()).values).toBe(0)
  })

  it('is cut off after a few messages that are none', async () => {
    await using victim = await startVictim()
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    let sent = 0
    for (; sent < 20; sent++) {
      const talk = await openTalk(connection, protocol)
      if (talk === undefined) break
      expect(await talk.ask(Uint8Array.of(0x12, 100, 1, 2, 3))).toBeUndefined()
    }
    expect(sent).toBeLessThanOrEqual(6)
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe(`${protocol}:malformed`)
  })

  it('answers a peer as often as its budget says, then ends it', async () => {
    await using victim = await startVictim({ guard: { budgets: { [protocol]: { perSecond: 1, burst: 100 } } } })
    await using attacker = await createAttacker()
    const messages = Array.from({ length: 200 }, () => ({ type: types.findNode, key: new Uint8Array(randomBytes(32)) }))
    const answered = await send(attacker, victim, messages)
    expect(answered).toBeGreaterThanOrEqual(100)
    expect(answered).toBeLessThan(110)
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe(`${protocol}:too-many-messages`)
  })
})
