/** Nodes that hold a reservation at the relay given as argument, with one store in the folder given next; the parent says how many there shall be. */
import { createNetwork, type Network, peerKeyFromSeed } from '@souk/network'
import { createStorage } from '@souk/storage'

/** Below the handshakes a second that a relay takes from one address. */
const atOnce = 20

const [relay = '', directory = ''] = process.argv.slice(2)
const storage = await createStorage({ directory, now: Date.now, search: 'off' })
const guests: Network[] = []

process.on('message', (count: number) => void growTo(count))
process.once('SIGTERM', () => process.exit(0))

async function growTo(count: number): Promise<void> {
  while (guests.length < count) {
    const some = Array.from({ length: Math.min(atOnce, count - guests.length) }, (_, at) => guests.length + at)
    guests.push(...(await Promise.all(some.map(openGuest))))
  }
  process.send?.(guests.filter(isReachable).length)
}

async function openGuest(index: number): Promise<Network> {
  const network = await createNetwork(
    {
      datastore: storage.datastore(`guest-${index}`),
      privateKey: await peerKeyFromSeed(crypto.getRandomValues(new Uint8Array(32))),
      records: storage.records,
      sync: storage.sync
    },
    { role: 'node', listen: ['/p2p-circuit'], bootstrap: [relay], dht: 'client', keeper: { peersTarget: 0 } }
  )
  const { promise, resolve } = Promise.withResolvers<void>()
  network.libp2p.addEventListener('self:peer:update', () => isReachable(network) && resolve())
  if (!isReachable(network)) await promise
  return network
}

function isReachable(network: Network): boolean {
  return network.addresses().some((address) => address.toString().includes('/p2p-circuit'))
}
