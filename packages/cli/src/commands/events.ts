import type { Command } from 'commander'
import type { Begin } from '../invocation.ts'

export function addEvents(command: Command, begin: Begin): void {
  command
    .option(
      '--type <types>',
      'only these, separated by commas: gap, listing, order, letter, feedback, peer, sync, problem'
    )
    .addHelpText('after', '\nThe first event is a gap: whatever happens after it is told.')
    .action(
      begin(async (run, { type }: { type?: string }) => {
        const wanted = type?.split(',')
        const client = await run.client()
        // Asked for from a place that does not exist, the stream begins with a gap: from there on nothing is missed.
        for await (const event of client.events({ signal: run.signal, after: 'now' })) {
          if (wanted !== undefined && !wanted.includes(event.type)) continue
          const { type: name, ...rest } = event
          run.out.line(event, [name, ...Object.values(rest).map(String)].join('  '))
        }
      })
    )
}
