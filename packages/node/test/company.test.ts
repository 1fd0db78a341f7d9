import { createPhrase, type Did, identityFromPhrase, keyFromDid } from '@souk/records'
import { peerKeyFromSeed } from '@souk/network'
import { afterEach, expect, test } from 'vitest'
import { createCompany } from '../src/company.ts'
import { companyMax } from '../src/limits.ts'

let closing = new AbortController()
afterEach(() => {
  closing.abort()
  closing = new AbortController()
})

/** Profiles that name one peer each, at an address that can change. */
async function createWorld() {
  const addresses = new Map<Did, string>()
  const peers = new Map<Did, string>()
  const wanted = new Map<string, string>()
  let onStored: (stored: never[]) => void = () => undefined
  const person = async (): Promise<Did> => {
    const { did } = identityFromPhrase(createPhrase())
    const key = await peerKeyFromSeed(keyFromDid(did))
    peers.set(did, key.publicKey.toString())
    addresses.set(did, '/ip4/192.0.2.1/tcp/1')
    return did
  }
  const company = (followed: Did[]) =>
    createCompany(
      {
        records: { on: (_name, listener) => ((onStored = listener as unknown as typeof onStored), () => undefined) },
        profiles: {
          contentOf: (did) =>
            Promise.resolve({ peers: [{ id: peers.get(did), addresses: [addresses.get(did)] }] } as never)
        },
        keeper: {
          want: (peer, _reason, at = []) => void wanted.set(peer.toString(), String(at[0])),
          unwant: (peer) => void wanted.delete(peer.toString())
        },
        onError: (error) => {
          throw error
        }
      },
      { followed, signal: closing.signal }
    )
  const move = (did: Did, address: string): void => {
    addresses.set(did, address)
    onStored([{ record: { kind: 'profile', author: keyFromDid(did) } }] as never[])
  }
  const whereIs = (did: Did): string | undefined => wanted.get(peers.get(did) ?? '')
  return { person, company, move, whereIs, wanted }
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('who is followed is kept, wherever their profile says that they are now', async () => {
  const { person, company, move, whereIs } = await createWorld()
  const did = await person()
  company([did])
  await soon()
  expect(whereIs(did)).toMatch(/^\/ip4\/192\.0\.2\.1\/tcp\/1\/p2p\//)
  move(did, '/ip4/192.0.2.9/tcp/2')
  await soon()
  expect(whereIs(did)).toMatch(/^\/ip4\/192\.0\.2\.9\/tcp\/2\/p2p\//)
})

test('the other party of an order is kept from agreement to the end of the last one, a stranger who asks is not', async () => {
  const { person, company, whereIs } = await createWorld()
  const did = await person()
  const orders = company([])
  const order = (id: string, phase: string) => orders.follow({ id, counterparty: did, role: 'seller', phase })
  order('a', 'REQUESTED')
  await soon()
  expect(whereIs(did)).toBeUndefined()
  order('a', 'AGREED')
  order('b', 'FUNDED')
  await soon()
  expect(whereIs(did)).toBeDefined()
  order('a', 'CLOSED')
  await soon()
  expect(whereIs(did)).toBeDefined()
  order('b', 'VOID')
  await soon()
  expect(whereIs(did)).toBeUndefined()
})

test('a busy seller keeps no more connections than there is room for', async () => {
  const { person, company, wanted } = await createWorld()
  const orders = company([])
  for (let index = 0; index < companyMax + 5; index++) {
    orders.follow({ id: `${index}` as never, counterparty: await person(), role: 'buyer', phase: 'REQUESTED' })
  }
  await soon()
  expect(wanted.size).toBe(companyMax)
})
