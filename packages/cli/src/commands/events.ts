import type { Command } from 'commander'
import { CliError } from '../errors.ts'
import type { Begin } from '../invocation.ts'

export function addEvents(command: Command, begin: Begin): void {
  command
    .option('--type <types>', 'only these, separated by commas: listing, order, feedback, peer, sync, problem')
    .action(
      begin(async (run, { type }: { type?: string }) => {
        const wanted = type?.split(',')
        const client = await run.client()
        for await (const event of client.events({ signal: run.signal })) {
          if (wanted !== undefined && !wanted.includes(event.type)) continue
          const { type: name, ...rest } = event
          run.out.line(event, [name, ...Object.values(rest).map(String)].join('  '))
        }
        run.signal.throwIfAborted()
        throw new CliError('unreachable-node', 'the node stopped')
      })
    )
}
