import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SoukNode } from '@souk/node'
import { Validator } from '@seriousme/openapi-schema-validator'
import { createPhrase, didFromKey, identityFromPhrase } from '@souk/records'
import { beforeAll, expect, test } from 'vitest'
import type * as z from 'zod'
import { type Client, ClientError, createClient } from '../src/client.ts'
import { contract, openApiDocument, type ResponseOf, type RouteName, scopes } from '../src/index.ts'
import { ask, lamp, openNode, type Served, serve } from './support.ts'

let node: SoukNode
let served: Served
let client: Client
const proven = new Set<RouteName>()

beforeAll(async () => {
  node = await openNode()
  served = await serve(node)
  client = createClient({ url: served.server.url, token: served.token })
})

/** Calls a route, and checks that its schema says all of what it answered: not a field more, not one less. */
const call: Client['call'] = async (name, ...rest) => {
  const answer = await client.call(name, ...rest)
  const { response } = contract[name] as { response: z.ZodType | 'webp' | 'nothing' }
  if (typeof response === 'object') expect(response.parse(answer)).toEqual(answer)
  proven.add(name)
  return answer
}

async function aPhoto(): Promise<Uint8Array> {
  const photos = join(import.meta.dirname, '../../devnet/assets/photos')
  const [first] = JSON.parse(await readFile(join(photos, 'photos.json'), 'utf8')) as { file: string }[]
  return new Uint8Array(await readFile(join(photos, first?.file ?? '')))
}

test('what a node is, knows and has, as the contract says', async () => {
  expect(await call('GET /v1/status')).toMatchObject({ did: node.did, sync: 'alone' })
  expect(await call('GET /v1/wallet')).toMatchObject({ address: node.wallet.address })
  expect(await call('GET /v1/peers')).toEqual([])
  expect((await call('GET /v1/categories')).length).toBeGreaterThan(10)
  expect(await call('GET /v1/orders', { query: { role: 'buyer', open: 'true' } })).toEqual([])
  expect(await call('GET /v1/feedback/:did', { params: { did: node.did }, query: { search: 'false' } })).toEqual([])
  const reputation = await call('GET /v1/reputation/:did', { params: { did: node.did } })
  expect(reputation).toMatchObject({ subject: node.did, ratings: 0 })
})

test('a profile is published and read', async () => {
  const stranger = { did: didFromKey(identityFromPhrase(createPhrase()).signer.publicKey) }
  const unknown = client.call('GET /v1/profiles/:did', { params: stranger })
  await expect(unknown).rejects.toMatchObject({ code: 'not-found', status: 404 })
  const profile = await call('PUT /v1/profile', { body: { name: 'Ana', region: 'PT', about: 'Lamps.' } })
  expect(profile).toMatchObject({ name: 'Ana', did: node.did })
  expect(await call('GET /v1/profile')).toEqual(profile)
  expect(await call('GET /v1/profiles/:did', { params: { did: node.did } })).toEqual(profile)
})

test('a photograph becomes safe WebP, and a listing shows it, is found, changed and deleted', async () => {
  const { hadLocation, ...image } = await call('POST /v1/images', { body: await aPhoto() })
  expect(hadLocation).toBe(true)
  const webp = await call('GET /v1/images/:cid', { params: { cid: image.thumbnail } })
  expect(String.fromCharCode(...webp.subarray(0, 4), ...webp.subarray(8, 12))).toBe('RIFFWEBP')
  const raw = await ask(served, { path: `/v1/images/${image.thumbnail}`, token: served.token })
  expect(raw.headers).toMatchObject({ 'content-type': 'image/webp', 'x-content-type-options': 'nosniff' })

  const listing = await call('POST /v1/listings', { body: { ...lamp, images: [image] } })
  expect(listing).toMatchObject({ title: lamp.title, seller: node.did, images: [image] })
  expect(await call('GET /v1/listings/:id', { params: { id: listing.key } })).toEqual(listing)
  expect(await call('GET /v1/listings', { query: { seller: node.did, limit: 5 } })).toEqual([listing])
  const query = { text: 'lamp', currency: 'EUR', min: '1000', max: '2000', sort: 'cheapest' } as const
  await expect.poll(async () => (await call('GET /v1/search', { query })).hits).toEqual([listing])
  const change = { params: { id: listing.key }, body: { title: 'A blue lamp' } }
  expect(await call('PATCH /v1/listings/:id', change)).toMatchObject({ title: 'A blue lamp', seq: listing.seq + 1 })
  expect(await call('DELETE /v1/listings/:id', { params: { id: listing.key } })).toBeUndefined()
  const gone = client.call('GET /v1/listings/:id', { params: { id: listing.key } })
  await expect(gone).rejects.toMatchObject({ code: 'not-found', status: 404 })
})

test('two nodes connect and trade, each through its own API', async () => {
  const other = await openNode()
  const theirs = await serve(other)
  const seller = createClient({ url: theirs.server.url, token: theirs.token })
  const [address = ''] = (await seller.call('GET /v1/status')).addresses
  expect(await call('POST /v1/peers', { body: { address } })).toMatchObject({ connected: true })
  expect(await call('GET /v1/peers')).toHaveLength(1)
  await seller.call('PUT /v1/profile', { body: { name: 'Bo' } })
  await call('PUT /v1/profile', { body: { name: 'Ana' } })

  const listing = await seller.call('POST /v1/listings', { body: lamp })
  await expect.poll(() => client.call('GET /v1/listings', { query: { seller: other.did } })).toHaveLength(1)
  const profile = (): Promise<unknown> => client.call('GET /v1/profiles/:did', { params: { did: other.did } })
  await expect.poll(() => profile().catch(() => undefined), { timeout: 20_000 }).toMatchObject({ name: 'Bo' })
  const bought = await call('POST /v1/orders', {
    body: { listing: listing.id, delivery: 'pick-up', settlement: 'direct' }
  })
  const params = { id: bought.id }
  expect(await call('GET /v1/orders/:id', { params })).toMatchObject({ id: bought.id, role: 'buyer' })
  const sold = (): Promise<ResponseOf<'GET /v1/orders'>> => seller.call('GET /v1/orders', { query: { role: 'seller' } })
  await expect.poll(sold, { timeout: 20_000 }).toHaveLength(1)
  await seller.call('POST /v1/orders/:id/actions', { params, body: { action: 'decline', why: 'sold elsewhere' } })
  const mine = async (): Promise<unknown> => (await call('GET /v1/orders')).find(({ id }) => id === bought.id)?.reason
  await expect.poll(mine, { timeout: 20_000 }).toBeDefined()
  const late = client.call('POST /v1/orders/:id/actions', { params, body: { action: 'confirm' } })
  await expect(late).rejects.toMatchObject({ status: 409 })
})

test('a letter that cannot be processed is kept, seen, replayed and thrown away', async () => {
  expect(await call('GET /v1/letters')).toEqual({ outgoing: [], kept: [] })
  const listing = await call('POST /v1/listings', { body: lamp })
  const bootstrap = (await node.status()).addresses
  const network = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  // Its clock is an hour ahead: what it says is not valid yet.
  const hasty = await openNode({ network, now: () => Date.now() + 3_600_000 })
  await expect.poll(() => hasty.listings.get(listing.id).catch(() => undefined), { timeout: 20_000 }).toBeDefined()
  await hasty.orders.buy({ listing: listing.id, delivery: 'pick-up', settlement: 'direct' })
  const kept = async () => (await call('GET /v1/letters')).kept
  await expect.poll(kept, { timeout: 20_000 }).toHaveLength(1)
  const [letter] = await kept()
  const params = { id: letter?.id ?? '' }
  expect(letter).toMatchObject({ from: hasty.did, code: 'not-yet-valid' })
  const again = await call('POST /v1/letters/:id/replay', { params })
  expect(again.kept).toMatchObject({ id: letter?.id, code: 'not-yet-valid' })
  expect(again.kept?.attempts).toBeGreaterThan(letter?.attempts ?? 0)
  await call('DELETE /v1/letters/:id', { params: { id: params.id.slice(params.id.indexOf('/') + 1).slice(0, 8) } })
  expect(await kept()).toEqual([])
  await expect(client.call('DELETE /v1/letters/:id', { params })).rejects.toMatchObject({ code: 'not-found' })
})

test('the node’s refusals keep their codes, and have a status', async () => {
  const nowhere = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
  const refusals: [() => Promise<unknown>, number, string][] = [
    [() => client.call('GET /v1/orders/:id', { params: { id: 'a'.repeat(64) } }), 404, 'not-found'],
    [
      () => client.call('GET /v1/ratings/:id', { params: { id: 'nothing' }, query: { search: 'true' } }),
      404,
      'not-found'
    ],
    [() => client.call('POST /v1/listings', { body: { ...lamp, settlements: [{ kind: 'escrow' }] } }), 422, 'no-chain'],
    [() => client.call('POST /v1/images', { body: new TextEncoder().encode('<svg/>') }), 415, 'not-an-image'],
    [() => client.call('POST /v1/peers', { body: { address: nowhere } }), 502, 'unreachable'],
    [() => client.call('GET /v1/profiles/:did', { params: { did: 'did:key:z6Mkx' } }), 400, 'bad-identity']
  ]
  for (const [refused, status, code] of refusals) {
    const error = await refused().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ClientError)
    expect(error).toMatchObject({ status, code })
  }
})

test('every route but those that need a finished trade was proven against a real node', () => {
  const unproven = Object.keys(contract).filter((name) => !proven.has(name as RouteName))
  expect(unproven).toEqual(['POST /v1/orders/:id/actions', 'POST /v1/feedback', 'GET /v1/ratings/:id'])
})

test('the OpenAPI document is one by the schema of OpenAPI 3.1', async () => {
  const { json } = await ask(served, { path: '/v1/openapi.json', token: served.token })
  expect(json).toEqual(JSON.parse(JSON.stringify(openApiDocument())))
  const validator = new Validator()
  expect(await validator.validate(structuredClone(json))).toEqual({ valid: true })
  expect(validator.version).toBe('3.1')
  delete json.info
  expect(await new Validator().validate(json)).toMatchObject({ valid: false })
})

test('the OpenAPI document has every route with its scope, and no name twice', () => {
  const { paths } = openApiDocument() as { paths: Record<string, Record<string, Record<string, unknown>>> }
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  const ids = operations.map(({ operationId }) => operationId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const name of Object.keys(contract) as RouteName[]) {
    const [method, path] = name.split(' ') as [string, string]
    const operation = paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
    expect(scopes).toContain(operation?.['x-scope'])
    expect(operation?.['x-scope']).toBe(contract[name].scope)
  }
})
