import type { PeerId } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { encodeCanonical } from '@souk/records'
import { afterEach, describe, expect, test } from 'vitest'
import { askExchange } from '../../src/exchange.ts'
import { openEnvelope, writeEnvelope, writeFirstEnvelope } from '../../src/messages/envelope.ts'
import { envelopeBytesMax, messageLimits, payloadBytesMax } from '../../src/messages/limits.ts'
import { messageProtocol, type ReceivedMessage } from '../../src/messages/messages.ts'
import { createPeer, type Peer, recordingGuard } from '../peers.ts'
import { type Correspondent, correspondent, persona } from './correspondent.ts'

const text = (message: string): Uint8Array => new TextEncoder().encode(message)

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const task of cleanUp.splice(0).toReversed()) await task()
})

async function someone(init: Partial<Parameters<typeof correspondent>[0]> = {}): Promise<Correspondent> {
  const who = await correspondent({ onMessage: async () => {}, ...init })
  cleanUp.push(async () => {
    await who.messages[Symbol.asyncDispose]()
    await who.peer.stop()
  })
  return who
}

async function bare(init = {}): Promise<Peer> {
  const peer = await createPeer(init)
  cleanUp.push(async () => peer.stop())
  return peer
}

/** A receiver that remembers what it processed, as a store does. */
function inbox(): {
  messages: ReceivedMessage[]
  onMessage: (message: ReceivedMessage) => Promise<void>
  seen: (m: { messageId: string }) => Promise<boolean>
} {
  const messages: ReceivedMessage[] = []
  return {
    messages,
    onMessage: async (message) => void messages.push(message),
    seen: async ({ messageId }) => messages.some((message) => message.messageId === messageId)
  }
}

const letterTo = (to: Correspondent, messageId: string, payload = text('hello')) => ({
  to: to.did,
  prekey: to.prekey,
  peers: [to.peer.getMultiaddrs()] as (PeerId | Multiaddr[])[],
  messageId,
  payload
})

type LetterTo = ReturnType<typeof letterTo>

/** Seals and sends at once, as the post does with a copy of its own. */
const send = async (from: Correspondent, { peers, ...message }: LetterTo): Promise<void> =>
  from.messages.deliver(await from.messages.prepare(message), peers)

const ask = (from: Peer, to: Correspondent, question: Uint8Array): Promise<Uint8Array> =>
  askExchange(from, to.peer.getMultiaddrs(), question, {
    protocol: messageProtocol,
    limits: { ...messageLimits, questionBytesMax: 10 * 1024 * 1024 }
  })

describe('messages', () => {
  test('arrive, and are acknowledged once they have been processed', async () => {
    const processing = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<ReceivedMessage>()
    const bo = await someone({
      onMessage: async (message) => {
        arrived.resolve(message)
        await processing.promise
      }
    })
    const ana = await someone()
    let acknowledged = false
    const sending = send(ana, letterTo(bo, 'order-1.request')).then(() => (acknowledged = true))
    const message = await arrived.promise
    expect(message).toMatchObject({ from: ana.did, messageId: 'order-1.request', payload: text('hello') })
    expect(acknowledged).toBe(false)
    processing.resolve()
    await sending
    expect(acknowledged).toBe(true)
  })

  test('delivered twice, at once and out of order, count once each and are all acknowledged', async () => {
    const box = inbox()
    const bo = await someone(box)
    const ana = await someone()
    const order = ['c', 'a', 'b', 'a', 'c', 'b', 'b']
    await Promise.all(order.map((id) => send(ana, letterTo(bo, id, text(id)))))
    await send(ana, letterTo(bo, 'a', text('a')))
    expect(box.messages.map(({ messageId }) => messageId).toSorted()).toEqual(['a', 'b', 'c'])
  })

  test('are delivered again when the receiver failed before it had them on disk', async () => {
    const box = inbox()
    let failures = 2
    const bo = await someone({
      ...box,
      onMessage: async (message) => {
        if (failures-- > 0) throw new Error('no space left on device')
        await box.onMessage(message)
      }
    })
    const ana = await someone()
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(send(ana, letterTo(bo, 'm'))).rejects.toMatchObject({ code: 'not-processed' })
    }
    await send(ana, letterTo(bo, 'm'))
    expect(box.messages).toHaveLength(1)
  })

  test('are not acknowledged by a receiver that dies while it processes; its successor gets them', async () => {
    const who = persona()
    const reached = Promise.withResolvers<void>()
    const first = await someone({
      persona: who,
      onMessage: (_message, { signal }) => {
        reached.resolve()
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('killed'))))
      }
    })
    const ana = await someone()
    const sending = send(ana, letterTo(first, 'm'))
    await reached.promise
    await first.peer.stop()
    await expect(sending).rejects.toMatchObject({ code: 'stream-broken' })
    const box = inbox()
    const second = await someone({ persona: who, ...box })
    await send(ana, { ...letterTo(second, 'm'), peers: [first.peer.peerId, second.peer.getMultiaddrs()] })
    expect(box.messages).toHaveLength(1)
    await first.messages[Symbol.asyncDispose]()
  })

  test('reach a peer through a circuit relay', async () => {
    const relay = await bare({ relay: true })
    const box = inbox()
    const bo = await someone({ ...box, peer: { behindRelay: true } })
    const relayed = Promise.withResolvers<void>()
    bo.peer.addEventListener('self:peer:update', () => {
      if (bo.peer.getMultiaddrs().some((address) => address.toString().includes('p2p-circuit'))) relayed.resolve()
    })
    await bo.peer.dial(relay.getMultiaddrs())
    await relayed.promise
    const ana = await someone()
    await send(ana, { ...letterTo(bo, 'm'), payload: new Uint8Array(20_000) })
    expect(box.messages).toHaveLength(1)
    expect(ana.peer.getConnections(bo.peer.peerId)[0]?.limits).toBeDefined()
  })

  test('of a conversation need no work, and who has forgotten it is introduced again', async () => {
    const [anaBox, boBox] = [inbox(), inbox()]
    const ana = await someone({ ...anaBox, workBits: 6 })
    const bo = await someone({ ...boBox, workBits: 6 })
    await send(ana, letterTo(bo, '1'))
    await send(bo, letterTo(ana, '2'))
    const { envelope } = await ana.messages.prepare(letterTo(bo, '3'))
    expect(openEnvelope(envelope).workBits).toBe(0)
    await send(ana, letterTo(bo, '3'))
    expect(openEnvelope(envelope).by).toEqual((await bo.contacts.signerFor(ana.did))?.publicKey)
    await bo.contacts.forget(ana.did)
    await send(ana, letterTo(bo, '4'))
    expect(boBox.messages.map(({ messageId }) => messageId)).toEqual(['1', '3', '4'])
  })

  test('go to the next address when one is dead, and fail with a code when all are', async () => {
    const bo = await someone()
    const gone = await bare()
    const dead = gone.getMultiaddrs()
    await gone.stop()
    const ana = await someone()
    await send(ana, { ...letterTo(bo, 'm'), peers: [dead, bo.peer.getMultiaddrs()] })
    await expect(send(ana, { ...letterTo(bo, 'm'), peers: [dead] })).rejects.toMatchObject({
      code: 'unreachable'
    })
    await expect(send(ana, { ...letterTo(bo, 'm'), peers: [] })).rejects.toMatchObject({ code: 'unreachable' })
  })
})

describe('strangers and liars', () => {
  test('the wrong peer neither gets a message nor can acknowledge it', async () => {
    const [bo, cy, ana] = [await someone(), await someone(), await someone()]
    const misdirected = { ...letterTo(bo, 'm'), peers: [cy.peer.getMultiaddrs()] }
    await expect(send(ana, misdirected)).rejects.toMatchObject({ code: 'wrong-recipient' })
    const thief = await bare()
    await thief.handle(messageProtocol, async (stream) => {
      const frames = lpStream(stream)
      await frames.read()
      await frames.write(encodeCanonical({ v: 1, status: 'processed', proof: new Uint8Array(32) }))
      await stream.close()
    })
    const stolen = { ...letterTo(bo, 'm'), peers: [thief.getMultiaddrs()] }
    await expect(send(ana, stolen)).rejects.toMatchObject({ code: 'bad-proof' })
  })

  test('a recipient cannot pass a message on as if it had been written to a third', async () => {
    const box = inbox()
    const bo = await someone()
    const cy = await someone(box)
    const ana = await someone()
    const { envelope } = await ana.messages.prepare(letterTo(bo, 'm'))
    const rewrapped = writeFirstEnvelope({ to: cy.signer.publicKey, box: openEnvelope(envelope).box, bits: 4 })
    const answer = await ask(bo.peer, cy, rewrapped)
    expect(answer).toEqual(encodeCanonical({ v: 1, status: 'refused', code: 'unknown-prekey' }))
    expect(box.messages).toEqual([])
  })

  test('a contact cannot let a stranger in with the key of its own conversation', async () => {
    const box = inbox()
    const guard = recordingGuard()
    const bo = await someone({ ...box, guard })
    const [ana, eve] = [await someone(), await someone()]
    await send(ana, letterTo(bo, 'from-ana'))
    await send(bo, letterTo(ana, 'reply'))
    const { envelope } = await eve.messages.prepare(letterTo(bo, 'from-eve'))
    const by = (await ana.contacts.signerFor(bo.did))!
    const smuggled = writeEnvelope({ to: bo.signer.publicKey, box: openEnvelope(envelope).box, by })
    await expect(ask(ana.peer, bo, smuggled)).rejects.toMatchObject({ code: 'stream-broken' })
    expect(guard.codes).toEqual([`${messageProtocol}:bad-signature`])
    expect(box.messages.map(({ messageId }) => messageId)).toEqual(['from-ana'])
  })

  test('each malformed, altered, oversize or workless envelope has its price and no effect', async () => {
    const box = inbox()
    const guard = recordingGuard()
    const bo = await someone({ ...box, guard, workBits: 8 })
    const ana = await someone({ workBits: 8 })
    const mallory = await bare()
    const { envelope } = await ana.messages.prepare(letterTo(bo, 'm'))
    const { to } = openEnvelope(envelope)
    const altered = (at: number): Uint8Array => envelope.map((byte, index) => (index === at ? byte ^ 1 : byte))
    const cases: [code: string, bytes: Uint8Array][] = [
      ['malformed', text('GET / HTTP/1.1')],
      ['malformed', encodeCanonical({ v: 1 })],
      ['bad-version', encodeCanonical({ v: 2 })],
      ['bad-signature', altered(envelope.length - 1)],
      ['too-large', new Uint8Array(envelopeBytesMax + 1)],
      ['malformed', writeFirstEnvelope({ to, box: new Uint8Array(100), bits: 8 })]
    ]
    for (const [code, bytes] of cases) {
      await expect(ask(mallory, bo, bytes)).rejects.toMatchObject({ code: 'stream-broken' })
      expect(guard.codes.splice(0)).toEqual([`${messageProtocol}:${code}`])
    }
    const lazy = writeFirstEnvelope({ to, box: openEnvelope(envelope).box, bits: 1 })
    expect(await ask(mallory, bo, lazy)).toEqual(encodeCanonical({ v: 1, status: 'refused', code: 'work-missing' }))
    expect(box.messages).toEqual([])
    const large = letterTo(bo, 'm', new Uint8Array(payloadBytesMax + 1))
    await expect(send(ana, large)).rejects.toMatchObject({ code: 'too-large' })
    await send(ana, letterTo(bo, 'largest', new Uint8Array(payloadBytesMax)))
    expect(box.messages).toHaveLength(1)
  })

  test('without enough work nothing is verified or decrypted', async () => {
    const asked: string[] = []
    const who = persona()
    const bo = await someone({ persona: who, workBits: 8, keysAsked: () => asked.push('keys') })
    const mallory = await bare()
    // Neither the signature nor the box of this is any good: only what comes after the work would tell.
    const lazy = writeFirstEnvelope({ to: who.signer.publicKey, box: new Uint8Array(100), bits: 7 })
    const unsigned = lazy.map((byte, index) => (index === lazy.length - 1 ? byte ^ 1 : byte))
    expect(await ask(mallory, bo, unsigned)).toEqual(encodeCanonical({ v: 1, status: 'refused', code: 'work-missing' }))
    expect(asked).toEqual([])
    const worked = writeFirstEnvelope({ to: who.signer.publicKey, box: new Uint8Array(345), bits: 8 })
    const answer = await ask(mallory, bo, worked).catch(() => undefined)
    expect(asked).toEqual(['keys'])
    expect(answer).toBeUndefined()
  })

  test('a peer over its budget is not heard, and others are', async () => {
    const box = inbox()
    const left = new Map<string, number>()
    const guard = recordingGuard((peer, _protocol, cost) => {
      const rest = (left.get(peer.toString()) ?? 10) - cost
      left.set(peer.toString(), rest)
      return rest >= 0
    })
    const bo = await someone({ ...box, guard })
    const [flooder, ana] = [await someone(), await someone()]
    const outcomes = []
    for (let index = 0; index < 20; index++) {
      outcomes.push(
        await send(flooder, letterTo(bo, `spam-${index}`)).then(
          () => 'sent',
          (error: { code: string }) => error.code
        )
      )
    }
    expect(outcomes.filter((outcome) => outcome === 'sent').length).toBeLessThanOrEqual(10)
    expect(outcomes.at(-1)).toBe('stream-broken')
    await send(ana, letterTo(bo, 'honest'))
    expect(box.messages.at(-1)?.messageId).toBe('honest')
  })
})
