import type { PeerView } from '@souk/node'
import type { Command } from 'commander'
import type { Begin } from '../invocation.ts'
import type { Shape } from '../output.ts'
import { timeText } from '../text.ts'

const shape: Shape<PeerView> = {
  route: 'GET /v1/peers',
  columns: [
    { name: 'id', of: ({ id }) => id },
    { name: 'state', of: (peer) => stateText(peer) },
    {
      name: 'latency',
      of: ({ latencyMs }) => (latencyMs === undefined ? '' : `${Math.round(latencyMs)} ms`),
      right: true
    },
    { name: 'score', of: ({ score }) => score, right: true },
    { name: 'reasons', of: ({ reasons }) => reasons.join(', ') },
    { name: 'agent', of: ({ agent }) => agent },
    { name: 'addresses', of: ({ addresses }) => addresses.join(' '), wide: true }
  ]
}

export function addPeer(peer: Command, begin: Begin): void {
  peer
    .command('list')
    .description('who is connected, how they behave, and why somebody was dropped')
    .option('--connected', 'only those')
    .action(
      begin(async (run, { connected }: { connected?: boolean }) => {
        const client = await run.client()
        const peers = await client.call('GET /v1/peers')
        await run.out.list(connected === true ? peers.filter((peer) => peer.connected) : peers, shape)
      })
    )
  peer
    .command('connect')
    .description('dial an address')
    .argument('<address>', 'multiaddr with /p2p/ at its end')
    .action(
      begin(async (run, address: string) => {
        const client = await run.client()
        await run.out.show(await client.call('POST /v1/peers', { body: { address } }), shape)
      })
    )
}

function stateText({ connected, direction, relayed, bannedUntilMs }: PeerView): string {
  if (bannedUntilMs !== undefined) return `banned until ${timeText(bannedUntilMs)}`
  if (!connected) return 'known'
  return [direction ?? 'connected', relayed === true ? 'relayed' : ''].filter((word) => word !== '').join(', ')
}
