import { sha256 } from '@noble/hashes/sha2.js'
import { randomBytes } from '@noble/hashes/utils.js'
import { signerFromKey } from '@souk/records'
import { afterEach, describe, expect, test } from 'vitest'
import { askExchange, openGuard, serveExchange } from '../../src/exchange.ts'
import { writeEnvelope, writeFirstEnvelope } from '../../src/messages/envelope.ts'
import { mailboxExchangeLimits, type MailboxLimits } from '../../src/messages/limits.ts'
import { createMailboxClient, type MailboxServer } from '../../src/messages/mailbox-client.ts'
import {
  decodeMailboxQuestion,
  encodeMailboxAnswer,
  encodeMailboxQuestion,
  mailboxProtocol,
  openingBytes,
  type MailboxQuestion
} from '../../src/messages/mailbox-wire.ts'
import { createMailbox, type Mailbox } from '../../src/messages/mailbox.ts'
import type { KeyValueStore } from '../../src/store.ts'
import { createPeer, memoryStore, type Peer, recordingGuard } from '../peers.ts'
import { correspondent, type Correspondent } from './correspondent.ts'

const day = 24 * 3600 * 1000
const text = (message: string): Uint8Array => new TextEncoder().encode(message)

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const task of cleanUp.splice(0).toReversed()) await task()
})

interface Server extends MailboxServer {
  readonly libp2p: Peer
  readonly mailbox: Mailbox
  readonly guard: ReturnType<typeof recordingGuard>
}

async function server(
  init: { limits?: Partial<MailboxLimits>; now?: () => number; store?: KeyValueStore } = {}
): Promise<Server> {
  const libp2p = await createPeer()
  const guard = recordingGuard()
  const limits = { firstContactBits: 4, ...init.limits }
  const mailbox = await createMailbox({ libp2p, guard, store: init.store ?? memoryStore() }, { ...init, limits })
  cleanUp.push(async () => {
    await mailbox[Symbol.asyncDispose]()
    await libp2p.stop()
  })
  return { libp2p, mailbox, guard, peer: libp2p.peerId, addresses: libp2p.getMultiaddrs() }
}

async function someone(onMessage: (message: { messageId: string }) => Promise<void> = async () => {}) {
  const who = await correspondent({ onMessage })
  cleanUp.push(async () => {
    await who.messages[Symbol.asyncDispose]()
    await who.peer.stop()
  })
  return { ...who, mail: createMailboxClient({ libp2p: who.peer }, { signer: who.signer }) }
}

/** Somebody with a mailbox and no messages service: only what the mailbox does is looked at. */
async function owner(at: MailboxServer) {
  const libp2p = await createPeer()
  cleanUp.push(async () => libp2p.stop())
  const signer = signerFromKey(randomBytes(32))
  const mail = createMailboxClient({ libp2p }, { signer })
  await mail.admit(at, [])
  return { libp2p, signer, mail, to: signer.publicKey }
}

const prepare = async (from: Correspondent, to: Correspondent, messageId: string): Promise<Uint8Array> =>
  (await from.messages.prepare({ to: to.did, prekey: to.prekey, messageId, payload: text(messageId) })).envelope

const stranger = (to: Uint8Array, bits = 4, size = 300): Uint8Array =>
  writeFirstEnvelope({ to, box: randomBytes(size), bits })

const ask = (from: Peer, to: MailboxServer, question: MailboxQuestion): Promise<Uint8Array> =>
  askExchange(from, to.peer, encodeMailboxQuestion(question), {
    protocol: mailboxProtocol,
    limits: mailboxExchangeLimits
  })

const refusal = (code: string) => ({ name: 'ProtocolError', code })

describe('a mailbox', () => {
  test('keeps what was written to somebody who sleeps, in order, until it has been processed', async () => {
    const relay = await server()
    const got: string[] = []
    let full = true
    const bo = await someone(async ({ messageId }) => {
      if (messageId === '2' && full) throw new Error('disk full')
      got.push(messageId)
    })
    await bo.mail.admit(relay, [])
    const ana = await someone()
    for (const id of ['1', '2', '3']) expect(await ana.mail.put(relay, await prepare(ana, bo, id))).toBe('kept')
    const accept = (envelope: Uint8Array): Promise<unknown> => bo.messages.accept(envelope)
    expect(await bo.mail.collect(relay, accept)).toEqual({ processed: 2, failed: 1 })
    full = false
    expect(await bo.mail.collect(relay, accept)).toEqual({ processed: 1, failed: 0 })
    expect(await bo.mail.collect(relay, accept)).toEqual({ processed: 0, failed: 0 })
    expect(got).toEqual(['1', '3', '2'])
  })

  test('survives the restart of its server', async () => {
    const store = memoryStore()
    const first = await server({ store })
    const bo = await owner(first)
    const envelope = stranger(bo.to)
    await bo.mail.put(first, envelope)
    await first.mailbox[Symbol.asyncDispose]()
    const second = await server({ store })
    expect(await bo.mail.put(second, envelope)).toBe('known')
    const got: Uint8Array[] = []
    await bo.mail.collect(second, async (bytes) => void got.push(bytes))
    expect(got).toEqual([envelope])
  })

  test('holds hundreds, small and large, and gives each out once', async () => {
    const relay = await server({ limits: { requestsPerRecipientMax: 1000 } })
    const bo = await owner(relay)
    const sent = Array.from({ length: 300 }, (_, index) => stranger(bo.to, 4, index % 30 === 0 ? 60_000 : 200))
    for (const envelope of sent) await bo.mail.put(relay, envelope)
    const got: Uint8Array[] = []
    expect(await bo.mail.collect(relay, async (bytes) => void got.push(bytes))).toEqual({ processed: 300, failed: 0 })
    expect(got).toEqual(sent)
  })

  test('lets go of what is too old, and of mailboxes that nobody opens', async () => {
    let now = Date.now()
    const relay = await server({ now: () => now })
    const bo = await owner(relay)
    await bo.mail.put(relay, stranger(bo.to))
    now += 16 * day
    await relay.mailbox.sweep()
    expect(await bo.mail.collect(relay, async () => {})).toEqual({ processed: 0, failed: 0 })
    now += 61 * day
    await relay.mailbox.sweep()
    await expect(bo.mail.put(relay, stranger(bo.to))).rejects.toMatchObject(refusal('unknown-recipient'))
  })
})

describe('the bounds of a mailbox', () => {
  test('strangers need work and crowd out neither more work nor a conversation', async () => {
    const relay = await server({ limits: { requestsPerRecipientMax: 3 } })
    const bo = await owner(relay)
    const conversation = signerFromKey(randomBytes(32))
    await bo.mail.admit(relay, [conversation.publicKey])
    const put = (envelope: Uint8Array): Promise<string> => bo.mail.put(relay, envelope)
    await expect(put(stranger(bo.to, 3))).rejects.toMatchObject(refusal('work-missing'))
    const hard = stranger(bo.to, 8)
    await put(hard)
    const easy = [stranger(bo.to), stranger(bo.to)]
    for (const envelope of easy) await put(envelope)
    await expect(put(stranger(bo.to))).rejects.toMatchObject(refusal('mailbox-full'))
    const harder = stranger(bo.to, 6)
    await put(harder)
    const known = writeEnvelope({ to: bo.to, box: randomBytes(300), by: conversation })
    await put(known)
    const got: Uint8Array[] = []
    await bo.mail.collect(relay, async (bytes) => void got.push(bytes))
    expect(got.length).toBe(4)
    for (const kept of [hard, harder, known]) expect(got).toContainEqual(kept)
  })

  test('one conversation cannot fill the mailbox, all of them neither its bounds, and an address has its own', async () => {
    const limits = { envelopesPerConversationMax: 2, envelopesPerRecipientMax: 3, envelopesPerAddressMax: 7 }
    const relay = await server({ limits })
    const bo = await owner(relay)
    const [one, two] = [signerFromKey(randomBytes(32)), signerFromKey(randomBytes(32))]
    await bo.mail.admit(relay, [one.publicKey, two.publicKey])
    const write = (by: typeof one): Promise<string> =>
      bo.mail.put(relay, writeEnvelope({ to: bo.to, box: randomBytes(300), by }))
    await write(one)
    await write(one)
    await expect(write(one)).rejects.toMatchObject(refusal('sender-full'))
    await write(two)
    await expect(write(two)).rejects.toMatchObject(refusal('mailbox-full'))
    await bo.mail.collect(relay, async () => {})
    await write(one)
    await bo.mail.admit(relay, [two.publicKey])
    await expect(write(one)).rejects.toMatchObject(refusal('work-missing'))
    await expect(write(two)).rejects.toMatchObject(refusal('address-full'))
  })

  test('bytes are bounded a conversation and in all, and so are mailboxes an address', async () => {
    const relay = await server({
      limits: { bytesPerConversationMax: 1000, bytesMax: 3000, recipientsMax: 2, recipientsPerAddressMax: 1 }
    })
    const bo = await owner(relay)
    const by = signerFromKey(randomBytes(32))
    await bo.mail.admit(relay, [by.publicKey])
    const write = (): Promise<string> => bo.mail.put(relay, writeEnvelope({ to: bo.to, box: randomBytes(500), by }))
    await write()
    await expect(write()).rejects.toMatchObject(refusal('sender-full'))
    await bo.mail.put(relay, stranger(bo.to, 4, 800))
    await expect(bo.mail.put(relay, stranger(bo.to, 4, 800))).rejects.toMatchObject(refusal('store-full'))
    await expect(owner(relay)).rejects.toMatchObject({ code: 'stream-broken' })
  })

  test('when all are taken, an empty mailbox that nobody opened for a week gives way, and no other', async () => {
    let now = Date.now()
    const relay = await server({ now: () => now, limits: { recipientsMax: 2 } })
    const [full, empty] = [await owner(relay), await owner(relay)]
    await full.mail.put(relay, stranger(full.to))
    now += 6 * day
    await expect(owner(relay)).rejects.toMatchObject({ code: 'stream-broken' })
    now += 2 * day
    const third = await owner(relay)
    expect(relay.mailbox.held()).toMatchObject({ recipients: 2, envelopes: 1 })
    await expect(empty.mail.put(relay, stranger(empty.to))).rejects.toMatchObject(refusal('unknown-recipient'))
    for (const one of [full, third]) expect(await one.mail.put(relay, stranger(one.to))).toBe('kept')
  })

  test('a conversation of which little waits finds room in a mailbox that others have filled', async () => {
    const relay = await server({ limits: { envelopesPerConversationMax: 30, envelopesPerRecipientMax: 40 } })
    const bo = await owner(relay)
    const [busy, other, quiet] = Array.from({ length: 3 }, () => signerFromKey(randomBytes(32)))
    await bo.mail.admit(relay, [busy!.publicKey, other!.publicKey, quiet!.publicKey])
    const write = (by: typeof busy): Promise<string> =>
      bo.mail.put(relay, writeEnvelope({ to: bo.to, box: randomBytes(300), by: by! }))
    for (let index = 0; index < 25; index++) await write(busy)
    for (let index = 0; index < 5; index++) await write(other)
    await expect(write(busy)).rejects.toMatchObject(refusal('mailbox-full'))
    for (let index = 0; index < 10; index++) expect(await write(quiet)).toBe('kept')
    await expect(write(quiet)).rejects.toMatchObject(refusal('mailbox-full'))
  })

  test('the last quarter of all mailboxes is for those with little in theirs', async () => {
    const relay = await server({ limits: { bytesMax: 40_000, recipientsMax: 10 } })
    const [busy, quiet] = [await owner(relay), await owner(relay)]
    const put = (to: typeof busy): Promise<string> => to.mail.put(relay, stranger(to.to, 4, 1000))
    const outcomes: string[] = []
    for (let index = 0; index < 40; index++) outcomes.push(await put(busy).catch(({ code }) => code as string))
    expect(new Set(outcomes.slice(0, 20))).toEqual(new Set(['kept']))
    expect(outcomes.at(-1)).toBe('store-full')
    expect(relay.mailbox.held().bytes).toBeLessThanOrEqual(30_000)
    expect(await put(quiet)).toBe('kept')
  })

  test('is given up with what waits in it when its server closes it', async () => {
    const relay = await server()
    const bo = await owner(relay)
    await bo.mail.put(relay, stranger(bo.to))
    await relay.mailbox.close(bo.to)
    expect(relay.mailbox.held()).toEqual({ recipients: 0, envelopes: 0, bytes: 0 })
    await expect(ask(bo.libp2p, relay, { op: 'list', after: undefined })).rejects.toMatchObject({
      code: 'stream-broken'
    })
  })

  test('nothing is kept for those who never asked for a mailbox', async () => {
    const relay = await server()
    const bo = await owner(relay)
    await expect(bo.mail.put(relay, stranger(randomBytes(32)))).rejects.toMatchObject(refusal('unknown-recipient'))
  })
})

describe('who may open a mailbox', () => {
  test('only the identity, over the peer that was challenged, once', async () => {
    const relay = await server()
    const bo = await owner(relay)
    await bo.mail.put(relay, stranger(bo.to))
    const thief = await createPeer()
    cleanUp.push(async () => thief.stop())
    await thief.dial(relay.libp2p.getMultiaddrs())
    const open = async (sign: (nonce: Uint8Array) => Uint8Array): Promise<Uint8Array> => {
      const answer = await ask(thief, relay, { op: 'challenge' })
      return ask(thief, relay, { op: 'open', identity: bo.to, sig: sign(answer.slice(-32)) })
    }
    await expect(ask(thief, relay, { op: 'list', after: undefined })).rejects.toMatchObject({ code: 'stream-broken' })
    expect(relay.guard.codes).toEqual([])
    await expect(open(() => new Uint8Array(64))).rejects.toMatchObject({ code: 'stream-broken' })
    // What the owner signed for its own peer.
    const mailbox = relay.peer.toString()
    const forOwner = (nonce: Uint8Array): Uint8Array =>
      bo.signer.sign(openingBytes({ mailbox, peer: bo.libp2p.peerId.toString(), nonce }))
    await expect(open(forOwner)).rejects.toMatchObject({ code: 'stream-broken' })
    expect(relay.guard.codes).toEqual(Array(2).fill(`${mailboxProtocol}:bad-signature`))
    expect(await bo.mail.collect(relay, async () => {})).toEqual({ processed: 1, failed: 0 })
  })

  test('a mailbox does not see, take or delete what is in another', async () => {
    const relay = await server()
    const [bo, cy] = [await owner(relay), await owner(relay)]
    const envelope = stranger(bo.to)
    await bo.mail.put(relay, envelope)
    const digests = [sha256(envelope)]
    expect(await ask(cy.libp2p, relay, { op: 'take', digests })).toEqual(encodeMailboxAnswer.take([]))
    await ask(cy.libp2p, relay, { op: 'delete', digests })
    expect(await bo.mail.collect(relay, async () => {})).toEqual({ processed: 1, failed: 0 })
  })

  test('a malformed or forged envelope costs its bringer', async () => {
    const relay = await server()
    const bo = await owner(relay)
    const envelope = stranger(bo.to)
    envelope[envelope.length - 1]! ^= 1
    await expect(bo.mail.put(relay, envelope)).rejects.toMatchObject({ code: 'stream-broken' })
    await expect(bo.mail.put(relay, new Uint8Array(100))).rejects.toMatchObject({ code: 'stream-broken' })
    expect(relay.guard.codes).toEqual(['bad-signature', 'malformed'].map((code) => `${mailboxProtocol}:${code}`))
  })

  test('what finds no place costs the server no signature: it is turned away unread', async () => {
    const relay = await server()
    const bo = await owner(relay)
    const forgedFor = (to: Uint8Array): Uint8Array => {
      const envelope = stranger(to)
      envelope[envelope.length - 1]! ^= 1
      return envelope
    }
    await expect(bo.mail.put(relay, forgedFor(randomBytes(32)))).rejects.toMatchObject({ code: 'unknown-recipient' })
    expect(relay.guard.codes).toEqual([])
  })
})

describe('a lying server', () => {
  async function liar(answer: (question: MailboxQuestion) => Uint8Array): Promise<MailboxServer> {
    const libp2p = await createPeer()
    cleanUp.push(async () => libp2p.stop())
    const init = { protocol: mailboxProtocol, limits: mailboxExchangeLimits }
    await serveExchange(
      { libp2p, guard: openGuard },
      { ...init, answer: async (bytes) => answer(decodeMailboxQuestion(bytes)) }
    )
    return { peer: libp2p.peerId, addresses: libp2p.getMultiaddrs() }
  }

  test('cannot bring what was not asked for, nor go on for ever', async () => {
    const collected = async (take: Uint8Array[]): Promise<unknown> => {
      let pages = 0
      const evil = await liar(({ op }) => {
        if (op === 'challenge') return encodeMailboxAnswer.challenge(randomBytes(32))
        if (op === 'list') return encodeMailboxAnswer.list({ digests: [randomBytes(32)], more: ++pages > 0 })
        return op === 'take' ? encodeMailboxAnswer.take(take) : encodeMailboxAnswer.done()
      })
      const ana = await someone()
      const outcome = await ana.mail.collect(evil, async () => {}).catch((error: { code: string }) => error.code)
      return { outcome, bounded: pages <= 64 }
    }
    expect(await collected([])).toEqual({ outcome: { processed: 0, failed: 0 }, bounded: true })
    expect(await collected([text('not asked for')])).toEqual({ outcome: 'not-asked-for', bounded: true })
  })
})
