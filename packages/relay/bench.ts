/**
 * Measures what a relay takes in memory and processor time: idle, and with reservations held by real nodes. The relay
 * is a process of its own that runs what `tsc -b` built; the nodes live in this one.
 *
 *     node --conditions=@souk/source packages/relay/bench.ts 0 100 500
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomBytes } from 'node:crypto'
import { createNetwork, type Network, peerKeyFromSeed } from '@souk/network'
import { createStorage, type Storage } from '@souk/storage'
import { createFolder } from './test/world.ts'

const steps = process.argv.slice(2).map(Number)
const restMs = 20_000
/** A relay takes 32 connections a second from one address. */
const startedAtOnce = 5
const pauseMs = 250

await using stack = new AsyncDisposableStack()
const folder = stack.use(await createFolder())
const storage = stack.use(await createStorage({ directory: `${folder.path}/nodes`, now: Date.now, search: 'off' }))
const { child, address, httpUrl } = await startRelayProcess(`${folder.path}/relay`)
stack.defer(async () => {
  child.kill('SIGTERM')
  await once(child, 'exit')
})
const nodes: Network[] = []
stack.defer(async () => void (await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))))

for (const reservations of steps.length > 0 ? steps : [0, 100]) {
  while (nodes.length < reservations) {
    const missing = Math.min(startedAtOnce, reservations - nodes.length)
    nodes.push(...(await Promise.all(Array.from({ length: missing }, () => startReserving(storage)))))
    await sleep(pauseMs)
  }
  process.stdout.write(`${JSON.stringify(await measure())}\n`)
}

async function measure(): Promise<object> {
  const before = await scrape()
  await sleep(restMs)
  const after = await scrape()
  const cpuSeconds = figure(after, 'process_cpu_seconds_total') - figure(before, 'process_cpu_seconds_total')
  return {
    reservations: figure(after, 'souk_relay_reservations'),
    rssMb: Math.round(figure(after, 'process_resident_memory_bytes') / 1e6),
    cpuPercent: Number(((cpuSeconds / restMs) * 1e5).toFixed(2))
  }
}

async function scrape(): Promise<string> {
  return (await fetch(`${httpUrl}/metrics`)).text()
}

function figure(text: string, name: string): number {
  return Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1])
}

async function startReserving({ records, sync }: Storage): Promise<Network> {
  const seed = new Uint8Array(randomBytes(32))
  const datastore = storage.datastore(Buffer.from(seed.subarray(0, 8)).toString('hex'))
  return createNetwork(
    { datastore, privateKey: await peerKeyFromSeed(seed), records, sync },
    {
      role: 'node',
      listen: [`${address}/p2p-circuit`],
      // What they would do among themselves is not what is measured.
      dht: 'client',
      keeper: { peersTarget: 0 },
      carry: { main: ['people'] }
    }
  )
}

async function startRelayProcess(
  directory: string
): Promise<{ child: ChildProcess; address: string; httpUrl: string }> {
  const program = `
    import { createRelay } from '@souk/relay'
    const relay = await createRelay(${JSON.stringify({
      directory,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      http: { port: 0 },
      circuit: { reservationsMax: 1000 }
    })})
    console.log(JSON.stringify([relay.addresses()[0], relay.status().httpUrl]))
    process.once('SIGTERM', () => void relay.drain())`
  const flags = (process.env['RELAY_NODE_FLAGS'] ?? '').split(' ').filter(Boolean)
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', program], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const [address, httpUrl] = JSON.parse(line) as [string, string]
  return { child, address, httpUrl }
}
