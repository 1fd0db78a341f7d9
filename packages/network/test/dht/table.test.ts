import type { PeerId } from '@libp2p/interface'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nearestMax } from '../../src/dht/limits.ts'
import { Neighbourhood } from '../../src/dht/table.ts'

interface Placed {
  readonly peerId: PeerId
  readonly kadId: Uint8Array
}

/** Places alike in their first bytes as places are only where somebody has made them so. */
const place = fc
  .tuple(fc.constantFrom(0, 4, 31), fc.uint8Array({ minLength: 32, maxLength: 32 }))
  .map(([same, bytes]) => bytes.map((byte, at) => (at < same ? 7 : byte)))
const places = fc.uniqueArray(place, { maxLength: 60, selector: (bytes) => Buffer.from(bytes).toString('hex') })

function placed(bytes: Uint8Array, index: number): Placed {
  const peerId = { index, equals: (other: unknown) => other === peerId } as unknown as PeerId
  return { peerId, kadId: bytes }
}

function tableOf(peers: Placed[]): {
  table: ConstructorParameters<typeof Neighbourhood>[0]
  tell: (name: string) => void
} {
  const listeners: [string, () => void][] = []
  return {
    table: {
      kb: { toIterable: () => peers },
      addEventListener: (name, listener) => void listeners.push([name, listener])
    },
    tell: (name) => listeners.filter(([heard]) => heard === name).forEach(([, listener]) => listener())
  }
}

function distance({ kadId }: Placed, target: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(kadId.map((byte, at) => byte ^ target[at]!)).toString('hex')}`)
}

describe('those nearest to a place', () => {
  it('are the ones by XOR, nearest first, as many as an answer names, and none who is left out', () => {
    fc.assert(
      fc.property(places, place, fc.nat({ max: 3 }), (all, target, excluded) => {
        const peers = all.map(placed)
        const exclude = peers.slice(0, excluded).map(({ peerId }) => peerId)
        const expected = peers
          .slice(excluded)
          .toSorted((a, b) => (distance(a, target) < distance(b, target) ? -1 : 1))
          .slice(0, nearestMax)
        const nearest = new Neighbourhood(tableOf(peers).table).nearestTo(target, { exclude })
        expect(nearest).toEqual(expected.map(({ peerId }) => peerId))
      })
    )
  })

  it('are others when somebody has come or gone', () => {
    const [first, second] = [1, 2].map((byte) => placed(new Uint8Array(32).fill(byte), byte))
    const peers = [first!]
    const { table, tell } = tableOf(peers)
    const neighbourhood = new Neighbourhood(table)
    const nearest = (): PeerId[] => neighbourhood.nearestTo(new Uint8Array(32))
    expect(nearest()).toEqual([first!.peerId])
    peers.push(second!)
    tell('peer:add')
    expect(nearest()).toEqual([first!.peerId, second!.peerId])
    peers.shift()
    tell('peer:remove')
    expect(nearest()).toEqual([second!.peerId])
  })

  it('are none before the table has begun', () => {
    expect(new Neighbourhood({ addEventListener: () => undefined }).nearestTo(new Uint8Array(32))).toEqual([])
  })
})
