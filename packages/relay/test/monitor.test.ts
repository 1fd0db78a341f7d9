import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exposeFamilies } from '../src/exposition.ts'
import type { Relay } from '../src/index.ts'
import { unreadyReasons } from '../src/readiness.ts'
import { Tally } from '../src/tally.ts'
import {
  canMount,
  createFolder,
  hasPromtool,
  mountDisk,
  newSigner,
  promtool,
  publish,
  sealListing,
  startNode,
  startRelay,
  until
} from './world.ts'

describe('/metrics', () => {
  it('is what Prometheus reads, and says what has happened', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    await using node = await startNode({ bootstrap: relay.addresses() })
    await until(relay, () => relay.status().peers === 1)
    await until(node, () => relayed(node.network).length > 0)
    await publish(node, sealListing(newSigner()))
    await until(relay, () => relay.status().records === 1)
    await node.network.libp2p.services.pubsub.publish('/souk/1/main/listings/el', new Uint8Array(randomBytes(100)))
    await until(relay, async () => (await scrape(relay)).get('souk_relay_peers_disliked') === 1)

    const figures = await scrape(relay)
    expect(figures.get('souk_relay_peers')).toBe(1)
    expect(figures.get('souk_relay_connections{direction="inbound"}')).toBe(1)
    expect(figures.get('souk_relay_records{market="main",kind="listing"}')).toBe(1)
    expect(figures.get('souk_relay_records{market="main",kind="profile"}')).toBe(0)
    expect(figures.get('souk_relay_records_bytes')).toBe(relay.status().recordBytes)
    expect(accepted(figures)).toBeGreaterThanOrEqual(1)
    expect(rejected(figures)).toBe(1)
    expect(figures.get('souk_relay_streams{service="gossip"}')).toBeGreaterThan(0)
    expect(figures.get('souk_relay_reservations_max')).toBe(512)
    expect(figures.get('souk_relay_read_only')).toBe(0)
    expect(figures.get('process_resident_memory_bytes')).toBeGreaterThan(1e7)
    expect(figures.get('souk_relay_disk_free_bytes')).toBeGreaterThan(0)
  })

  it.skipIf(!hasPromtool)('passes promtool check metrics', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    const input = await (await fetch(`${relay.status().httpUrl}/metrics`)).text()
    expect(promtool(['check', 'metrics'], { input })).toBe('')
  })
})

describe('/healthz and /readyz', () => {
  it('answer 200 while all is well', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    expect(await ask(relay, '/healthz')).toEqual([200, 'ok\n'])
    expect(await ask(relay, '/readyz')).toEqual([200, 'ready\n'])
  })

  const states: readonly (readonly [Parameters<typeof unreadyReasons>[0], readonly string[]])[] = [
    [{ draining: false, storage: 'ok', addresses: 1 }, []],
    [{ draining: true, storage: 'ok', addresses: 1 }, ['draining']],
    [{ draining: false, storage: 'read-only', addresses: 1 }, ['read-only: the disk is full']],
    [{ draining: false, storage: 'ok', addresses: 0 }, ['listening nowhere']]
  ]
  it.each(states)('%j is unready for %j', (state, reasons) => expect(unreadyReasons(state)).toEqual(reasons))

  it('nothing else is there, and nothing can be sent', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    const { httpUrl } = relay.status()
    expect((await ask(relay, '/'))[0]).toBe(404)
    expect((await fetch(`${httpUrl}/metrics`, { method: 'POST', body: 'x' })).status).toBe(405)
    const head = await fetch(`${httpUrl}/metrics`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })
})

const mountable = await canMount()

describe('a full disk', () => {
  it.skipIf(!mountable)('makes the relay unready until there is space, and costs nothing stored', async () => {
    await using disk = await mountDisk({ mebibytes: 44 })
    const problems: string[] = []
    await using relay = await startRelay({
      directory: join(disk.path, 'relay'),
      onProblem: ({ code }) => void problems.push(code)
    })
    await using node = await startNode({ bootstrap: relay.addresses() })
    const filler = join(disk.path, 'filler')
    const publishNext = async (): Promise<void> => publish(node, sealListing(newSigner()))
    await until(relay, () => relay.status().peers === 1)
    await publishNext()
    await until(relay, () => relay.status().records === 1)

    await writeFile(filler, randomBytes(44 << 20)).catch(() => undefined)
    await until(relay, async () => {
      await publishNext()
      return relay.status().state === 'read-only'
    })
    expect(await ask(relay, '/readyz')).toEqual([503, 'read-only: the disk is full\n'])
    expect((await scrape(relay)).get('souk_relay_read_only')).toBe(1)
    const { records } = relay.status()

    await rm(filler)
    await until(relay, () => relay.status().state === 'ready')
    await publishNext()
    await until(relay, () => relay.status().records > records)
    expect(await ask(relay, '/readyz')).toEqual([200, 'ready\n'])
    expect(problems).toEqual(['read-only', 'writable-again'])
  })
})

describe('draining', () => {
  it('is unready, lets nobody in, waits for a relayed connection, and ends in time', async () => {
    await using folder = await createFolder()
    const relay = await startRelay({ directory: folder.path, drainMs: 1500 })
    const [address = ''] = relay.addresses()
    await using hidden = await startNode({ listen: [`${address}/p2p-circuit`] })
    await using caller = await startNode()
    await using late = await startNode()
    await caller.network.connect(`${address}/p2p-circuit/p2p/${hidden.network.peerId.toString()}`)
    const startedAt = performance.now()

    const drained = relay.drain()
    expect(await ask(relay, '/readyz')).toEqual([503, 'draining\n'])
    expect(await ask(relay, '/healthz')).toEqual([200, 'ok\n'])
    expect(relay.status().state).toBe('draining')
    await expect(late.network.connect(address)).rejects.toMatchObject({ code: 'unreachable' })
    await drained

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1400)
    expect(performance.now() - startedAt).toBeLessThan(1500 + 5000 + 1000)
    await expect(fetch(`${relay.status().httpUrl}/healthz`)).rejects.toThrow('fetch failed')
  })

  it('of an idle relay is at once, twice is once, and a signal ends the waiting', async () => {
    await using folder = await createFolder()
    const relay = await startRelay({ directory: folder.path, drainMs: 600_000 })
    await using node = await startNode({ bootstrap: relay.addresses() })
    await until(relay, () => relay.status().peers === 1)
    expect(relay.drain({ signal: AbortSignal.timeout(5000) })).toBe(relay.drain())
    await relay.drain()
    await until(node, () => node.network.peers().length === 0)
    await using again = await startRelay({ directory: folder.path })
    expect(again.peerId).toBe(relay.peerId)
  })
})

describe('the text format', () => {
  it('escapes what labels and helps may hold, and writes every number', () => {
    const text = exposeFamilies([
      { name: 'a', type: 'gauge', help: 'one\\two\nthree', samples: [{ labels: { l: 'a"b\\c\nd' }, value: 1.5 }] },
      { name: 'b', type: 'gauge', help: 'b', samples: [Infinity, -Infinity, NaN, 1e21].map((value) => ({ value })) }
    ])
    expect(text).toBe(
      [
        String.raw`# HELP a one\\two\nthree`,
        '# TYPE a gauge',
        String.raw`a{l="a\"b\\c\nd"} 1.5`,
        '# HELP b b',
        '# TYPE b gauge',
        'b +Inf',
        'b -Inf',
        'b NaN',
        'b 1e+21\n'
      ].join('\n')
    )
  })

  it('tells labels apart whatever they hold', () => {
    const tally = new Tally<'a' | 'b'>()
    tally.add({ a: 'x,y', b: 'z' })
    tally.add({ a: 'x', b: 'y,z' })
    tally.add({ a: 'x', b: 'y,z' }, 2)
    expect(tally.samples().map(({ value }) => value)).toEqual([1, 3])
  })
})

async function ask(relay: Relay, path: string): Promise<[number, string]> {
  const response = await fetch(`${relay.status().httpUrl}${path}`)
  return [response.status, await response.text()]
}

/** Parses the text strictly: every line is a help, a type or a sample of the family that stands above it. */
async function scrape(relay: Relay): Promise<Map<string, number>> {
  const response = await fetch(`${relay.status().httpUrl}/metrics`)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const figures = new Map<string, number>()
  let family = ''
  for (const line of (await response.text()).trimEnd().split('\n')) {
    const head = /^# (?:HELP|TYPE) (?<name>[a-z_]+) \S/.exec(line)?.groups
    if (head !== undefined) {
      family = head['name'] ?? ''
      continue
    }
    const sample = /^(?<name>[a-z_]+)(?<labels>\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (?<value>\S+)$/.exec(
      line
    )?.groups
    if (sample === undefined || !sample['name']?.startsWith(family)) throw new Error(`no sample of ${family}: ${line}`)
    const key = `${sample['name']}${sample['labels'] ?? ''}`
    if (figures.has(key)) throw new Error(`twice: ${key}`)
    figures.set(key, Number(sample['value']?.replace('+Inf', 'Infinity')))
  }
  return figures
}

function accepted(figures: ReadonlyMap<string, number>): number {
  return sumOf(figures, 'verdict="accept"')
}

function rejected(figures: ReadonlyMap<string, number>): number {
  return sumOf(figures, 'via="gossip",verdict="reject"')
}

function sumOf(figures: ReadonlyMap<string, number>, labels: string): number {
  const rows = [...figures].filter(
    ([key]) => key.startsWith('souk_relay_records_checked_total') && key.includes(labels)
  )
  return rows.reduce((sum, [, value]) => sum + value, 0)
}

/** Peers known to carry cameras. */
function relayed({ libp2p }: Awaited<ReturnType<typeof startNode>>['network']): unknown[] {
  return libp2p.services.pubsub.getSubscribers('/souk/1/main/listings/el')
}
