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
  all(): LearntPeer[]
  /** The peer seen longest ago makes room when there are too many. */
  save(peer: LearntPeer): Promise<void>
}

const prefix = '/souk/learnt'

/** Reads what is remembered. What cannot be read is passed over: a damaged row costs one peer, not the start. */
export async function openAddressBook(datastore: Datastore): Promise<AddressBook> {
  const learnt = new Map<string, LearntPeer>()
  for await (const { key, value } of datastore.query({ prefix })) {
    const peer = read(key.baseNamespace(), value)
    if (peer !== undefined) learnt.set(peer.peer, peer)
  }
  const all = (): LearntPeer[] => [...learnt.values()].toSorted((a, b) => b.seenAtMs - a.seenAtMs)
  return {
    all,
    save: async ({ peer, addresses, seenAtMs }) => {
      const kept = addresses.slice(0, addressesMax)
      learnt.set(peer, { peer, addresses: kept, seenAtMs })
      const row = JSON.stringify({ addresses: kept.map(String), seenAtMs })
      await datastore.put(keyOf(peer), new TextEncoder().encode(row))
      const oldest = learnt.size > learntMax ? all().at(-1) : undefined
      if (oldest === undefined) return
      learnt.delete(oldest.peer)
      await datastore.delete(keyOf(oldest.peer))
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
