import type { StatusView } from '@souk/node'
import type { Command } from 'commander'
import { readIdentity } from '../home.ts'
import type { Begin } from '../invocation.ts'
import type { Shape } from '../output.ts'
import { timeText } from '../text.ts'
import { backUpWarning } from './init.ts'

const shape: Shape<StatusView> = {
  route: 'GET /v1/status',
  columns: [
    { name: 'name', of: ({ name, nym }) => name ?? nym },
    { name: 'did', of: ({ did }) => did },
    { name: 'nym', of: ({ nym }) => nym },
    { name: 'sync', of: ({ sync }) => sync },
    { name: 'peers', of: ({ peers }) => peers },
    { name: 'listings', of: ({ listings }) => listings },
    { name: 'records', of: ({ records }) => records },
    { name: 'searchable', of: ({ searchable }) => String(searchable) },
    { name: 'undelivered', of: ({ undelivered }) => undelivered },
    { name: 'storage', of: ({ storage }) => `${storage.state}, ${storage.imageBytes} bytes of images` },
    { name: 'clock', of: ({ clock }) => clockText(clock) },
    { name: 'chains', of: ({ chains }) => chains.map(chainText).join('\n') },
    { name: 'peerId', of: ({ peerId }) => peerId },
    { name: 'addresses', of: ({ addresses }) => addresses.join('\n') },
    { name: 'startedAt', of: ({ startedAtMs }) => timeText(startedAtMs) },
    { name: 'memory', of: ({ rssBytes }) => `${Math.round(rssBytes / 1e6)} MB` }
  ]
}

export function addStatus(command: Command, begin: Begin): void {
  command.action(
    begin(async (run) => {
      const client = await run.client()
      await run.out.show(await client.call('GET /v1/status'), shape)
      const identity = await readIdentity(run.home)
      if (identity?.backedUpAtMs === undefined) run.out.note(`\n${backUpWarning(run.souk)}`)
    })
  )
}

/** `clock-off`, 120 minutes ahead. */
export function clockText({ state, aheadMs = 0 }: StatusView['clock']): string {
  if (state !== 'off') return state
  return `clock-off, ${Math.round(Math.abs(aheadMs) / 60_000)} minutes ${aheadMs > 0 ? 'ahead' : 'behind'}`
}

function chainText({ chain, state, block }: StatusView['chains'][number]): string {
  return block === undefined ? `${chain} ${state}` : `${chain} ${state} at block ${block}`
}
