import type { KeptLetterView, OutgoingLetterView } from '@souk/node'
import type { Command } from 'commander'
import type { Begin } from '../invocation.ts'
import type { Shape } from '../output.ts'
import { timeText } from '../text.ts'

/** A letter of either sort, as a row. */
interface Row {
  readonly id: string
  /** Whom it goes to, or came from. */
  readonly who: string
  readonly state: string
  readonly atMs: number
  readonly attempts: number
  readonly why: string
}

const rowShape: Shape<Row> = {
  columns: [
    { name: 'id', of: ({ id }) => id.slice(0, 12) },
    { name: 'state', of: ({ state }) => state },
    { name: 'time', of: ({ atMs }) => timeText(atMs) },
    { name: 'attempts', of: ({ attempts }) => attempts, right: true },
    { name: 'who', of: ({ who }) => who },
    { name: 'why', of: ({ why }) => why }
  ]
}

const keptShape: Shape<KeptLetterView> = {
  columns: [
    { name: 'id', of: ({ id }) => id },
    { name: 'from', of: ({ from }) => from },
    { name: 'code', of: ({ code }) => code },
    { name: 'message', of: ({ message }) => message },
    { name: 'received', of: ({ receivedAtMs }) => timeText(receivedAtMs) },
    { name: 'attempts', of: ({ attempts }) => attempts }
  ]
}

export function addLetter(letter: Command, begin: Begin): void {
  letter
    .command('list')
    .description('what is on its way, and what came and could not be processed')
    .action(
      begin(async (run) => {
        const letters = await (await run.client()).call('GET /v1/letters')
        await run.out.list([...letters.outgoing.map(outgoingRow), ...letters.kept.map(keptRow)], rowShape, {
          whole: letters
        })
      })
    )
  letter
    .command('replay')
    .description('process one once more that was kept')
    .argument('<id>', 'id, or its first eight characters')
    .action(
      begin(async (run, id: string) => {
        const answer = await (await run.client()).call('POST /v1/letters/:id/replay', { params: { id } })
        if (answer.kept === undefined)
          return run.out.show(answer, { columns: [{ name: 'processed', of: () => 'yes' }] })
        run.out.warn('it still cannot be processed')
        await run.out.show(answer.kept, keptShape)
      })
    )
  letter
    .command('discard')
    .description('throw one away that was kept')
    .argument('<id>', 'id, or its first eight characters')
    .action(
      begin(async (run, id: string) => {
        await run.confirm(`Throw letter ${id} away? Its writer thinks that it arrived.`)
        await (await run.client()).call('DELETE /v1/letters/:id', { params: { id } })
      })
    )
}

function outgoingRow({ id, to, state, writtenAtMs, attempts, error = '' }: OutgoingLetterView): Row {
  return { id, who: `to ${to}`, state, atMs: writtenAtMs, attempts, why: error }
}

function keptRow({ id, from, code, message, receivedAtMs, attempts }: KeptLetterView): Row {
  const [, name = id] = id.split('/')
  return { id: name, who: `from ${from}`, state: 'kept', atMs: receivedAtMs, attempts, why: `${code}: ${message}` }
}
