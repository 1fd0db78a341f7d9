/** The other process of `live.ts`: says where it is, and for each count that it is told when so many can be found. */
import { addressOf, foundIn, openPeer } from './peers.ts'

const [directory = '', seller = ''] = process.argv.slice(2)
const { storage, network } = await openPeer(directory)
process.on('message', (count: number) => void foundIn(storage, count).then(() => process.send?.('found')))
await network.connect(seller)
process.send?.(addressOf(network))
