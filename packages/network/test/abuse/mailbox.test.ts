import { randomBytes } from '@noble/hashes/utils.js'
import { multiaddr } from '@multiformats/multiaddr'
import { type Signer, signerFromKey } from '@souk/records'
import { describe, expect, it } from 'vitest'
import { writeEnvelope, writeFirstEnvelope } from '../../src/messages/envelope.ts'
import type { MailboxLimits } from '../../src/messages/limits.ts'
import { createMailboxClient, type MailboxClient, type MailboxServer } from '../../src/messages/mailbox-client.ts'
import { createMailbox, type Mailbox } from '../../src/messages/mailbox.ts'
import { memoryStore } from '../peers.ts'
import { addressOf, startNode } from '../support/net.ts'
import { createAttacker } from './attacker.ts'

interface Office extends AsyncDisposable {
  readonly server: MailboxServer
  readonly mailbox: Mailbox
}

/** A relay with a mailbox behind the guard that every relay has, which counts 127.0.0.0/8 as it counts the world. */
async function openOffice(limits: Partial<MailboxLimits> = {}): Promise<Office> {
  await using stack = new AsyncDisposableStack()
  const relay = stack.use(await startNode({ role: 'relay', guard: { limitLoopback: true } }))
  const { libp2p, guard } = relay.network
  const store = memoryStore()
  const mailbox = stack.use(
    await createMailbox({ libp2p, guard, store }, { limits: { firstContactBits: 8, ...limits } })
  )
  const server = { peer: libp2p.peerId, addresses: [multiaddr(addressOf(relay))] }
  const owned = stack.move()
  return { server, mailbox, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

interface Person extends AsyncDisposable {
  readonly signer: Signer
  readonly mail: MailboxClient
}

async function person(from: string): Promise<Person> {
  const { libp2p, [Symbol.asyncDispose]: dispose } = await createAttacker({ from })
  const signer = signerFromKey(randomBytes(32))
  return { signer, mail: createMailboxClient({ libp2p }, { signer }), [Symbol.asyncDispose]: dispose }
}

const letter = (to: Uint8Array, { bits = 8, bytes = 300 } = {}): Uint8Array =>
  writeFirstEnvelope({ to, box: randomBytes(bytes), bits })

/** What became of each, by code. */
async function outcomesOf(puts: readonly Promise<string>[]): Promise<Record<string, number>> {
  const codes = await Promise.all(puts.map((put) => put.catch((error: { code: string }) => error.code)))
  return Object.fromEntries(
    Map.groupBy(codes, (code) => code)
      .entries()
      .map(([code, all]) => [code, all.length])
  )
}

describe('fifty identities that stuff one mailbox', () => {
  it('leave room for a first letter from elsewhere with no more work than anybody', async () => {
    await using office = await openOffice()
    await using bo = await person('127.20.0.1')
    await bo.mail.admit(office.server, [])
    const to = bo.signer.publicKey
    await using stack = new AsyncDisposableStack()
    const kept: Record<string, number> = {}
    for (let identity = 0; identity < 50; identity++) {
      const attacker = stack.use(await person(`127.21.0.${1 + (identity % 10)}`))
      const puts = Array.from({ length: 5 }, () =>
        attacker.mail.put(office.server, letter(to, { bits: 8 + (identity % 2) }))
      )
      for (const [code, count] of Object.entries(await outcomesOf(puts))) kept[code] = (kept[code] ?? 0) + count
    }
    expect(kept['kept']).toBeGreaterThanOrEqual(100)
    expect(kept['mailbox-full']).toBeGreaterThan(0)
    expect(office.mailbox.held().envelopes).toBe(100)

    await using ana = await person('127.22.0.1')
    const honest = letter(to)
    expect(await ana.mail.put(office.server, honest)).toBe('kept')
    const got: Uint8Array[] = []
    await bo.mail.collect(office.server, async (bytes) => void got.push(bytes))
    expect(got.length).toBe(100)
    expect(got).toContainEqual(honest)
  })

  it('leave room for a conversation under way', async () => {
    await using office = await openOffice({ envelopesPerRecipientMax: 400, envelopesPerConversationMax: 80 })
    await using bo = await person('127.20.0.1')
    const [ana, ...accomplices] = Array.from({ length: 6 }, () => signerFromKey(randomBytes(32)))
    const keys = [ana, ...accomplices].map((each) => each!.publicKey)
    await bo.mail.admit(office.server, keys)
    const write = (by: Signer): Uint8Array => writeEnvelope({ to: bo.signer.publicKey, by, box: randomBytes(300) })
    for (const by of accomplices) {
      await using attacker = await person('127.21.0.1')
      for (let index = 0; index < 90; index++) await attacker.mail.put(office.server, write(by)).catch(() => 'refused')
    }
    expect(office.mailbox.held().envelopes).toBe(320)
    await using friend = await person('127.22.0.1')
    expect(await friend.mail.put(office.server, write(ana!))).toBe('kept')
  })
})

describe('identities that stuff many mailboxes', () => {
  it('have made as many in a day as their addresses may, and leave the others room', async () => {
    await using office = await openOffice({ bytesMax: 400_000, recipientsMax: 100, recipientsPerAddressMax: 5 })
    await using stack = new AsyncDisposableStack()
    let made = 0
    const owners: Person[] = []
    for (let identity = 0; identity < 20; identity++) {
      const owner = stack.use(await person('127.21.0.1'))
      const opened = await owner.mail.admit(office.server, []).then(
        () => true,
        () => false
      )
      if (opened) owners.push(owner)
      made += Number(opened)
    }
    expect(made).toBe(5)
    for (const owner of owners) {
      const puts = Array.from({ length: 60 }, () =>
        owner.mail.put(office.server, letter(owner.signer.publicKey, { bytes: 4000 }))
      )
      await outcomesOf(puts)
    }
    // Three quarters, and of the last one, which is for those who have little, one letter for each mailbox.
    expect(office.mailbox.held().bytes).toBeLessThanOrEqual(300_000 + made * 4500)

    await using bo = await person('127.22.0.1')
    await bo.mail.admit(office.server, [])
    await using ana = await person('127.23.0.1')
    expect(await ana.mail.put(office.server, letter(bo.signer.publicKey))).toBe('kept')
  })

  it('leave no more bytes than their address may', async () => {
    await using office = await openOffice({ bytesPerAddressMax: 50_000 })
    await using bo = await person('127.22.0.1')
    await bo.mail.admit(office.server, [])
    await using stack = new AsyncDisposableStack()
    const codes: Record<string, number>[] = []
    for (let identity = 0; identity < 4; identity++) {
      const attacker = stack.use(await person('127.21.0.1'))
      const puts = Array.from({ length: 4 }, () =>
        attacker.mail.put(office.server, letter(bo.signer.publicKey, { bytes: 4900 }))
      )
      codes.push(await outcomesOf(puts))
    }
    expect(codes.at(-1)).toEqual({ 'address-full': 4 })
    expect(office.mailbox.held().bytes).toBeLessThanOrEqual(50_000)
  })
})
