import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { MemoryDatastore } from 'datastore-core'
import type { Datastore } from 'interface-datastore'
import { createNetwork, type Network, type NetworkEvents, type NetworkInit } from '../../src/network.ts'
import { TestStore } from './store.ts'

/** A network with its store, disposed of together. */
export interface TestNode extends AsyncDisposable {
  readonly network: Network
  readonly store: TestStore
  readonly datastore: Datastore
  readonly privateKey: PrivateKey
}

export interface TestNodeInit extends Partial<NetworkInit> {
  readonly store?: TestStore
  readonly datastore?: Datastore
  readonly privateKey?: PrivateKey
}

/** A node on 127.0.0.1, on a port of its own, that carries `listings/el` and `people` of `main`. */
export async function startNode(init: TestNodeInit = {}): Promise<TestNode> {
  const { store = new TestStore(), datastore = new MemoryDatastore(), ...rest } = init
  const privateKey = init.privateKey ?? (await generateKeyPair('Ed25519'))
  const network = await createNetwork(
    { datastore, privateKey, records: store, sync: store },
    { role: 'node', listen: ['/ip4/127.0.0.1/tcp/0'], carry: { main: ['listings/el', 'people'] }, ...rest }
  )
  return { network, store, datastore, privateKey, [Symbol.asyncDispose]: () => network[Symbol.asyncDispose]() }
}

/** The next event of a kind that satisfies the condition. */
export function nextEvent<Name extends keyof NetworkEvents>(
  network: Network,
  name: Name,
  condition: (event: NetworkEvents[Name]) => boolean = () => true
): Promise<NetworkEvents[Name]> {
  return new Promise((resolve) => {
    const off = network.on(name, (event) => {
      if (!condition(event)) return
      off()
      resolve(event)
    })
  })
}

/** Connects two nodes and waits until each has heard which topics the other carries. */
export async function join(a: TestNode, b: TestNode): Promise<void> {
  const heard = [heardTopics(a), heardTopics(b)]
  await a.network.connect(addressOf(b))
  await Promise.all(heard)
}

/** As {@link join}, and waits until each has caught up with the other. */
export async function settle(a: TestNode, b: TestNode): Promise<void> {
  const caughtUp = [nextEvent(a.network, 'caught-up'), nextEvent(b.network, 'caught-up')]
  await join(a, b)
  await Promise.all(caughtUp)
}

export function addressOf({ network }: TestNode): string {
  const address = network.addresses()[0]
  if (address === undefined) throw new Error('the node listens nowhere')
  return address.toString()
}

function heardTopics({ network }: TestNode): Promise<void> {
  return new Promise((resolve) => {
    network.libp2p.services.pubsub.addEventListener('subscription-change', () => resolve(), { once: true })
  })
}
