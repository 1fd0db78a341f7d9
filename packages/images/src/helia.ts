import type { Libp2p } from '@libp2p/interface'
import type { BlockBroker, Helia } from 'helia'
import type { Blockstore } from 'interface-blockstore'
import type { DirectBroker } from './block-broker.ts'

export interface HeliaComponents {
  libp2p: Libp2p
  store: Blockstore
  broker: DirectBroker
}

/** A running Helia over our libp2p and our blockstore. */
export interface RunningHelia extends AsyncDisposable {
  blockstore: Helia['blockstore']
}

type HeliaClass = new (init: {
  name: string
  version: string
  blockstore: Blockstore
  blockBrokers: BlockBroker[]
}) => Helia

/**
 * Starts Helia with nothing of its own defaults: no routers, no gateways, no libp2p of its own.
 *
 * @param init.bitswap - Speak bitswap too, after the direct way. Off unless asked for: it tells every connected peer
 *   every CID that is wanted.
 */
export async function startHelia(components: HeliaComponents, init: { bitswap: boolean }): Promise<RunningHelia> {
  const { libp2p, store, broker } = components
  const Helia = await loadHelia()
  const helia = new Helia({ name: 'souk', version: '1', blockstore: store, blockBrokers: [broker] })
  // Helia would make a libp2p of its own, so it is told of ours; and it would race bitswap against the direct way, so
  // bitswap's broker is handed to ours.
  Object.defineProperty(helia, 'libp2p', { value: libp2p, enumerable: true })
  Object.defineProperty(helia, 'addBlockBroker', { value: (fallback: BlockBroker) => broker.setFallback(fallback) })
  if (init.bitswap) {
    const { withBitswap } = await import('@helia/bitswap')
    withBitswap(helia as Parameters<typeof withBitswap>[0])
  }
  await helia.start()
  return {
    blockstore: helia.blockstore,
    async [Symbol.asyncDispose]() {
      await helia.stop()
      await broker[Symbol.asyncDispose]()
    }
  }
}

/**
 * Helia's class from the file that has it. Its public entry loads a whole second set of transports and services for a
 * libp2p that we do not want: 20 ms and 1 MB against 300 ms and 38 MB beside a running node
 * (docs/decisions/0220-helia-without-its-defaults.md). The public entry stands in should a release move the file.
 */
async function loadHelia(): Promise<HeliaClass> {
  const entry = import.meta.resolve('helia')
  try {
    const { Helia } = (await import(new URL('helia.js', entry).href)) as { Helia: HeliaClass }
    return Helia
  } catch {
    const { createHeliaLight } = await import('helia')
    return createHeliaLight().constructor as HeliaClass
  }
}
