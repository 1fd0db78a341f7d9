import { TypedEventEmitter, type Libp2pEvents, type Peer, type PeerId, type PeerInfo } from '@libp2p/interface'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { knownPeersMs } from '../../src/dht/limits.ts'
import { createNearest, type FindNearest } from '../../src/dht/nearest.ts'
import { sha256 } from '../../src/sha256.ts'

async function peers(count: number): Promise<PeerId[]> {
  return Promise.all(Array.from({ length: count }, async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
}

/** A table of peers, of which the last is not in the peer store. */
async function setUp() {
  const ids = await peers(3)
  const events = new TypedEventEmitter<Libp2pEvents>()
  const state = { nowMs: 0, reads: 0, others: 0, port: 1 }
  const infoOf = (id: PeerId): PeerInfo => ({ id, multiaddrs: [multiaddr(`/ip4/192.0.2.1/tcp/${state.port}`)] })
  const nearest = createNearest(
    {
      table: {
        kb: { toIterable: () => ids.map((peerId) => ({ peerId, kadId: sha256(peerId.toMultihash().bytes) })) },
        addEventListener: () => undefined
      },
      peerStore: {
        getInfo: async (id) => {
          state.reads++
          if (id.equals(ids[2])) throw Object.assign(new Error('no such peer'), { name: 'NotFoundError' })
          return infoOf(id)
        }
      },
      events
    },
    {
      otherwise: async () => {
        state.others++
        return []
      },
      clock: () => state.nowMs
    }
  )
  return { nearest, ids, events, state }
}

const key = new Uint8Array(32).fill(7)
/** Nearest to the key first. */
function inOrder(ids: readonly PeerId[]): PeerId[] {
  const target = sha256(key)
  const distance = (id: PeerId): string =>
    Buffer.from(sha256(id.toMultihash().bytes).map((byte, at) => byte ^ target[at]!)).toString('hex')
  return ids.toSorted((a, b) => (distance(a) < distance(b) ? -1 : 1))
}

const portsOf = async (nearest: FindNearest): Promise<string[]> =>
  (await nearest(key)).map(({ multiaddrs }) => multiaddrs.join().split('/').at(-1)!)

describe('who is nearest to a key', () => {
  it('is told by the table, of those whose addresses are known', async () => {
    const { nearest, ids } = await setUp()
    const [near, far] = inOrder(ids.slice(0, 2))
    expect((await nearest(key)).map(({ id }) => id)).toEqual([near, far])
    expect((await nearest(key, { exclude: [near!] })).map(({ id }) => id)).toEqual([far])
  })

  it('is read once, until a peer has changed or it has been a while', async () => {
    const { nearest, ids, events, state } = await setUp()
    const [near] = inOrder(ids.slice(0, 2))
    expect(await portsOf(nearest)).toEqual(['1', '1'])
    state.port = 2
    const reads = state.reads
    expect(await portsOf(nearest)).toEqual(['1', '1'])
    // What is not there may come.
    expect(state.reads).toBe(reads + 1)
    events.safeDispatchEvent('peer:update', { detail: { peer: { id: near } as Peer } })
    expect(await portsOf(nearest)).toEqual(['2', '1'])
    state.nowMs += knownPeersMs
    expect(await portsOf(nearest)).toEqual(['2', '2'])
  })

  it('is left to kad-dht where the key may be the id of a peer', async () => {
    const { nearest, ids, state } = await setUp()
    await nearest(ids[0]!.toMultihash().bytes)
    await nearest(Uint8Array.of(0x12, 0x20, ...key))
    expect([state.others, state.reads]).toEqual([2, 0])
    for (const other of [new Uint8Array(32), Uint8Array.of(0x12, 0x20), new Uint8Array(0)]) await nearest(other)
    expect([state.others, state.reads]).toEqual([2, 5])
  })
})
