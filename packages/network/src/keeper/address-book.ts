import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { type Datastore, Key } from 'interface-datastore'
import { addressesMax, learntMax } from './limits.ts'

/** A peer that this node has been connected to, with how to find it again. */
export interface LearntPeer {
  readonly peer: string
  /** Those that worked come first. */
  readonly addresses: readonly Multiaddr[]
  readonly seenAtMs: number
}

/** Remembers good peers over restarts: the node's own bootstrap list. */
export interface AddressBook {
  /** Last seen first. */
  all(): Promise<LearntPeer[]>
  save(peer: LearntPeer): Promise<void>
  forget(peer: string): Promise<void>
}

const prefix = '/souk/learnt'

/** Keeps to itself what it cannot read: a damaged row costs one peer, not the start of the node. */
export function createAddressBook(datastore: Datastore): AddressBook {
  const all = async (): Promise<LearntPeer[]> => {
    const found: LearntPeer[] = []
    for await (const { key, value } of datastore.query({ prefix })) {
      const peer = read(key.baseNamespace(), value)
      if (peer !== undefined) found.push(peer)
    }
    return found.toSorted((a, b) => b.seenAtMs - a.seenAtMs)
  }
  const forget = async (peer: string): Promise<void> => {
    await datastore.delete(keyOf(peer))
  }
  return {
    all,
    forget,
    save: async ({ peer, addresses, seenAtMs }) => {
      const row = { addresses: addresses.slice(0, addressesMax).map(String), seenAtMs }
      await datastore.put(keyOf(peer), new TextEncoder().encode(JSON.stringify(row)))
      for (const old of (await all()).slice(learntMax)) await forget(old.peer)
    }
  }
}

function keyOf(peer: string): Key {
  return new Key(`${prefix}/${peer}`)
}

function read(peer: string, value: Uint8Array): LearntPeer | undefined {
  try {
    const row = JSON.parse(new TextDecoder().decode(value)) as { addresses: string[]; seenAtMs: number }
    return { peer, addresses: row.addresses.map((address) => multiaddr(address)), seenAtMs: row.seenAtMs }
  } catch {
    return undefined
  }
}
