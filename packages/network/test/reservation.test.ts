import { expect, it } from 'vitest'
import { addressOf, startNode } from './support/net.ts'

it('asks a relay again that had no place at first: nobody else would ask for as long as it stays connected', async () => {
  let asked = 0
  // First for the connection, then for each place.
  await using relay = await startNode({ role: 'relay', guard: { open: () => ++asked !== 2 } })
  await using hidden = await startNode({ keeper: { peersTarget: 0 }, listen: ['/p2p-circuit'] })
  await hidden.network.connect(addressOf(relay))
  const places = (): string[] => hidden.network.addresses().map(String)
  await expect.poll(places, { timeout: 20_000 }).toEqual([expect.stringContaining('/p2p-circuit') as string])
  expect(asked).toBe(3)
  expect(hidden.network.libp2p.getConnections()).toHaveLength(1)
}, 60_000)
