import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ListingView, OrderView, PeerView, ReputationView, SearchPage, StatusView } from '@souk/node'
import type { DaemonFile } from '../src/home.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Running, souk, startDaemon, startLines, temporaryFolder } from './processes.ts'

const photo = join(import.meta.dirname, '../../devnet/assets/photos/djembe.jpg')

let seller: { home: string; daemon: Running }
let buyer: { home: string; daemon: Running }

/** Runs a command that must succeed and reads its JSON. */
async function json<T>(home: string, args: readonly string[]): Promise<T> {
  const ran = await souk(home, [...args, '--json'])
  if (ran.status !== 0) throw new Error(`souk ${args.join(' ')}: ${ran.status} ${ran.stderr}`)
  return JSON.parse(ran.stdout) as T
}

/** Asks again at each event until there is an answer: what another node says comes when it comes. */
async function eventually<T>(home: string, ask: () => Promise<T | undefined>): Promise<T> {
  const { lines, child } = startLines(home, ['events', '--json'])
  try {
    for await (const _ of lines) {
      const answer = await ask()
      if (answer !== undefined) return answer
    }
    throw new Error('the node stopped')
  } finally {
    child.kill()
  }
}

/** Until an order is in a phase here, and the other side may do what it then can. */
async function orderIn(home: string, id: string, phase: string): Promise<OrderView> {
  return json(home, ['order', 'wait', id, '--phase', phase, '--timeout', '30'])
}

beforeAll(async () => {
  const [sellerHome, buyerHome] = [await temporaryFolder(), await temporaryFolder()]
  seller = { home: sellerHome, daemon: await startDaemon(sellerHome, ['--name', 'Ada']) }
  buyer = { home: buyerHome, daemon: await startDaemon(buyerHome) }
  await json(buyer.home, ['peer', 'connect', seller.daemon.ready.addresses[0] ?? ''])
}, 120_000)

afterAll(async () => {
  await seller.daemon.stop()
  await buyer.daemon.stop()
})

describe('two daemons', () => {
  let listing: ListingView
  let order: OrderView

  test('a listing with its photograph is found on the other one', async () => {
    const made = ['--title', 'Djembe from Mali', '--category', 'hobbies', '--price', '120 EUR', '--tag', 'drum']
    const ways = ['--pick-up', '--ship', 'DE,FR:9.90', '--direct', 'cash', '--place', 'DE,Berlin', '--quantity', '2']
    listing = await json(seller.home, ['listing', 'create', ...made, ...ways, '--photo', photo])
    const begunAtMs = performance.now()
    const found = await eventually(buyer.home, async () => {
      const page = await json<SearchPage>(buyer.home, ['search', 'djembe', '--max-price', '150 EUR'])
      return page.hits[0]
    })
    expect(performance.now() - begunAtMs).toBeLessThan(10_000)
    expect(found).toEqual(listing)
    expect(found.images[0]).toMatchObject({ width: expect.any(Number) as number })
    const seen = await souk(buyer.home, ['search', '--category', 'ae-2', '--fields', 'title,price,price.minor,nym'])
    expect(seen.stdout).toBe(`Djembe from Mali\t120.00 EUR\t12000\t${listing.nym}\n`)
    expect((await json<SearchPage>(buyer.home, ['search', 'djembe', '--max-price', '119 EUR'])).total).toBe(0)
  })

  test('the photograph lost where it was taken, and comes to the other one', async () => {
    const { url, token } = JSON.parse(await readFile(join(buyer.home, 'api.json'), 'utf8')) as DaemonFile
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(`${url}/v1/images/${listing.images[0]?.image ?? ''}`, { headers })
    const bytes = new Uint8Array(await response.arrayBuffer())
    expect(response.status).toBe(200)
    expect(new TextDecoder('latin1').decode(bytes.subarray(8, 12))).toBe('WEBP')
    expect(new TextDecoder('latin1').decode(bytes)).not.toContain('Exif')
  })

  test('the name chosen at the start is the one that others read', async () => {
    expect((await json<StatusView>(seller.home, ['status'])).name).toBe('Ada')
    const profile = await eventually(buyer.home, async () => {
      const ran = await souk(buyer.home, ['profile', 'show', seller.daemon.ready.did, '--fields', 'name'])
      return ran.status === 0 && ran.stdout === 'Ada\n' ? ran.stdout : undefined
    })
    expect(profile).toBe('Ada\n')
  })

  test('peers are listed with their score', async () => {
    const [peer] = await json<PeerView[]>(buyer.home, ['peer', 'list', '--connected'])
    expect(peer).toMatchObject({ id: seller.daemon.ready.peerId, connected: true, score: expect.any(Number) as number })
  })

  test('an order goes from request to handover', async () => {
    const dry = await json<Record<string, unknown>>(buyer.home, ['order', 'buy', listing.id, '--pick-up', '--dry-run'])
    expect(dry).toMatchObject({ listing: listing.id, delivery: 'pick-up', title: listing.title })
    expect(await json(buyer.home, ['order', 'list'])).toEqual([])

    order = await json<OrderView>(buyer.home, ['order', 'buy', listing.id, '--pick-up', '--direct'])
    const { id } = order
    await eventually(seller.home, async () => (await json<OrderView[]>(seller.home, ['order', 'list']))[0])
    await json(seller.home, ['order', 'accept', id.slice(0, 8)])
    await orderIn(buyer.home, id, 'AGREED')

    const early = await souk(seller.home, ['order', 'ship', id])
    expect(early.status).toBe(6)
    const waited = await souk(buyer.home, ['order', 'wait', id, '--phase', 'CLOSED', '--timeout', '1'])
    expect(waited).toMatchObject({ status: 8, stdout: '' })
    expect(waited.stderr).toContain('timed-out')

    await json(buyer.home, ['order', 'paid', id, '--reference', 'in an envelope'])
    await orderIn(seller.home, id, 'FUNDED')
    await json(seller.home, ['order', 'payment-received', id])
    await json(seller.home, ['order', 'handover', id, '--code', order.pickupCode ?? ''])
    const closed = await orderIn(buyer.home, id, 'CLOSED')
    expect(closed).toMatchObject({ reason: 'accepted', role: 'buyer' })
    expect(await orderIn(seller.home, id, 'CLOSED')).toMatchObject({ reason: 'accepted', role: 'seller' })
    expect((await souk(buyer.home, ['order', 'show', id, '--fields', 'phase'])).stdout).toBe('CLOSED\n')
  }, 120_000)

  test('letters that are under way or could not be processed are listed, and replayed by name', async () => {
    type Letters = { readonly outgoing: readonly unknown[]; readonly kept: readonly unknown[] }
    const none = await eventually(buyer.home, async () => {
      const letters = await json<Letters>(buyer.home, ['letter', 'list'])
      return letters.outgoing.length === 0 ? letters : undefined
    })
    expect(none).toEqual({ outgoing: [], kept: [] })
    expect(await souk(buyer.home, ['letter', 'replay', '0123456789abcdef'])).toMatchObject({ status: 5 })
    expect(await souk(buyer.home, ['letter', 'discard', '0123456789abcdef'])).toMatchObject({ status: 5 })
  })

  test('both rate, once, and it counts for who stands near', async () => {
    const rating = ['--stars', '5', '--aspect', 'care=5', '--aspect', 'described=4', '--text', '-']
    const given = await souk(buyer.home, ['feedback', 'give', order.id, ...rating, '--json'], 'A drum as described.\n')
    expect(JSON.parse(given.stdout)).toMatchObject({
      stars: 5,
      aspects: { care: 5, described: 4 },
      text: 'A drum as described.'
    })
    const again = await souk(buyer.home, ['feedback', 'give', order.id, '--stars', '1'])
    expect(again).toMatchObject({ status: 6, stdout: '' })
    const { did } = seller.daemon.ready
    const received = await eventually(seller.home, async () => {
      const { stdout } = await souk(seller.home, ['feedback', 'show', 'me', '--fields', 'stars,text'])
      return stdout === '' ? undefined : stdout
    })
    expect(received).toBe('5\tA drum as described.\n')
    const reputation = await json<ReputationView>(buyer.home, ['reputation', 'show', did])
    expect(reputation).toMatchObject({ subject: did, ratings: 1 })
  })

  test('what is left is offered under a new id, and the key stays', async () => {
    const renewed = await eventually(buyer.home, async () => {
      const { hits } = await json<SearchPage>(buyer.home, ['search', 'djembe'])
      return hits.find(({ quantity }) => quantity === 1)
    })
    expect(renewed).toMatchObject({ key: listing.key, seq: 1 })
    expect(renewed.id).not.toBe(listing.id)
    listing = renewed
  })

  test('a second order is declined, and waiting for more says that it ended', async () => {
    const { id } = await json<OrderView>(buyer.home, ['order', 'buy', listing.id, '--pick-up', '--direct'])
    await eventually(seller.home, async () => {
      const { status } = await souk(seller.home, ['order', 'show', id])
      return status === 0 ? true : undefined
    })
    await json(seller.home, ['order', 'decline', id, '--why', 'It is promised already'])
    const waited = await souk(buyer.home, ['order', 'wait', id, '--phase', 'AGREED', '--timeout', '30'])
    expect(waited.status).toBe(6)
    expect(waited.stderr).toContain('order-ended')
  })

  test.each<[status: number, args: () => string[], code: string]>([
    [2, () => ['listing', 'create', '--category', 'hg'], 'usage'],
    [2, () => ['listing', 'create', '--title', 'x'.repeat(141), '--category', 'hg'], 'bad-request'],
    [2, () => ['listing', 'create', '--title', 'x', '--category', 'hg', '--photo', '/nowhere.jpg'], 'bad-file'],
    [2, () => ['reputation', 'show', 'did:key:zwrong'], ''],
    [4, () => ['listing', 'delete', listing.id], 'not-yours'],
    [5, () => ['listing', 'show', 'hg.00000000000000000000'], 'not-found'],
    [5, () => ['order', 'show', 'ffffffff'], 'not-found'],
    [7, () => ['peer', 'connect', '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWHFrary83h7kbpARdgETchoFh7J7TVnG85Yz3zWydDMu1'], '']
  ])('exit %i', async (status, args, code) => {
    const ran = await souk(buyer.home, args())
    expect({ status: ran.status, stderr: ran.stderr }).toMatchObject({
      status,
      stderr: expect.stringContaining(code) as string
    })
  })

  test('a dry run publishes nothing, and says what it would', async () => {
    const args = ['listing', 'create', '--title', 'Never', '--category', 'hg', '--price', '3 EUR', '--dry-run']
    expect(await json(seller.home, args)).toMatchObject({ title: 'Never', price: { minor: '300', currency: 'EUR' } })
    expect((await json<ListingView[]>(seller.home, ['listing', 'list', '--mine'])).map(({ title }) => title)).toEqual([
      listing.title
    ])
  })

  test('another start on the same home is refused', async () => {
    const ran = await souk(seller.home, ['start', '--json'])
    expect(ran).toMatchObject({ status: 6, stdout: '' })
    expect(JSON.parse(ran.stderr)).toMatchObject({ error: { code: 'already-running' } })
  })

  test('what opens the API is for its owner alone', async () => {
    const { home } = seller
    const modes = [home, join(home, 'api.json'), join(home, 'passphrase'), join(home, 'run')]
    const bits = await Promise.all(modes.map(async (path) => (await stat(path)).mode & 0o077))
    expect(bits).toEqual([0, 0, 0, 0])
  })

  test('killed, it is unreachable; started again, it has lost nothing', async () => {
    const before = await json<StatusView>(seller.home, ['status'])
    const orders = await json<OrderView[]>(seller.home, ['order', 'list'])
    await seller.daemon.stop('SIGKILL')
    expect((await souk(seller.home, ['status'])).status).toBe(7)
    seller.daemon = await startDaemon(seller.home)
    const after = await json<StatusView>(seller.home, ['status'])
    expect({ did: after.did, peerId: after.peerId, name: after.name }).toEqual({
      did: before.did,
      peerId: before.peerId,
      name: 'Ada'
    })
    expect(await json(seller.home, ['listing', 'show', listing.key])).toEqual(listing)
    expect(await json(seller.home, ['order', 'list'])).toEqual(orders)
  })

  test('deleted, it goes from the other one too', async () => {
    await json(buyer.home, ['peer', 'connect', seller.daemon.ready.addresses[0] ?? ''])
    await json(seller.home, ['listing', 'delete', listing.key])
    const total = await eventually(buyer.home, async () => {
      const page = await json<SearchPage>(buyer.home, ['search', 'djembe'])
      return page.total === 0 ? 'none' : undefined
    })
    expect(total).toBe('none')
  })

  test('a file of listings is imported in its order, without the one that is refused', async () => {
    const titles = Array.from({ length: 20 }, (_, index) => `Drum number ${index}`)
    const drafts = titles.map((title) => ({ title, category: 'hg', price: { minor: '100', currency: 'EUR' } }))
    const file = join(await temporaryFolder(), 'drums.json')
    await writeFile(file, JSON.stringify(drafts.toSpliced(10, 0, { ...drafts[0]!, title: 'x'.repeat(141) })))
    const { status, stdout, stderr } = await souk(seller.home, ['listing', 'import', file, '--json'])
    expect((JSON.parse(stdout) as ListingView[]).map(({ title }) => title)).toEqual(titles)
    expect(stderr).toContain('number 11, ')
    expect(status).not.toBe(0)
    const total = await eventually(buyer.home, async () => {
      const page = await json<SearchPage>(buyer.home, ['search', 'drum number'])
      return page.total === 20 ? page.total : undefined
    })
    expect(total).toBe(20)
  })

  test('asked to end, it drains, says so, and leaves no token behind', async () => {
    const daemon = seller.daemon
    expect(await daemon.stop('SIGINT')).toBe(0)
    await expect(stat(join(seller.home, 'api.json'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect((await souk(seller.home, ['status'])).status).toBe(7)
  })
})
