import type { ListingView, OrderView } from '@souk/node'
import type { RequestOf } from '@souk/api'
import type { Command } from 'commander'
import { countOf } from '../draft.ts'
import { CliError } from '../errors.ts'
import { readText } from '../input.ts'
import { type Begin, type Invocation, timeoutOf } from '../invocation.ts'
import { waitTimeoutSeconds } from '../limits.ts'
import type { Shape } from '../output.ts'
import { moneyText, printable } from '../text.ts'
import { orderColumns, orderDetails } from '../views.ts'

type BuyRequest = RequestOf<'POST /v1/orders'>['body']
type Action = RequestOf<'POST /v1/orders/:id/actions'>['body']

const details: Shape<OrderView> = { columns: orderDetails, route: 'GET /v1/orders/:id' }

/** Phases in which nothing happens any more, see docs/protocol/orders.md. */
const finalPhases: readonly string[] = ['CLOSED', 'VOID', 'CANCELLED']

interface BuyFlags {
  readonly quantity?: string
  readonly ship?: boolean
  readonly shipTo?: string
  readonly pickUp?: boolean
  readonly escrow?: boolean
  readonly direct?: boolean
  readonly note?: string
  readonly key?: string
  readonly dryRun?: boolean
}

export function addOrder(order: Command, begin: Begin): void {
  order
    .command('buy')
    .description('ask a seller for something; with escrow, this pays')
    .argument('<listing>', 'id of the listing')
    .option('--quantity <n>', 'how many')
    .option('--ship-to <address>', 'have it sent there; - is standard input, @FILE a file')
    .option('--pick-up', 'come and take it')
    .option('--escrow', 'pay into escrow')
    .option('--direct', 'pay the seller directly')
    .option('--note <text>', 'for the seller')
    .option('--key <text>', 'your own name of this purchase: said again, it buys nothing again')
    .option('--dry-run', 'show what would be asked for')
    .action(begin(buy))
  order
    .command('list')
    .description('newest first')
    .option('--role <role>', 'buyer or seller')
    .option('--open', 'only those under way')
    .option('--limit <n>', 'at most so many', '50')
    .option('--after <id>', 'the page after this id')
    .action(
      begin(async (run, flags: { role?: 'buyer' | 'seller'; open?: boolean; limit: string; after?: string }) => {
        const client = await run.client()
        const { role, open, after } = flags
        const limit = countOf(flags.limit, '--limit')
        const query = { role, open: open === true ? ('true' as const) : undefined, after, limit }
        await run.out.list(await client.call('GET /v1/orders', { query }), {
          columns: orderColumns,
          route: 'GET /v1/orders'
        })
      })
    )
  order
    .command('show')
    .description('where one stands, and who must act')
    .argument('<id>', 'id, or its first eight digits')
    .action(
      begin(async (run, id: string) => {
        const client = await run.client()
        await run.out.show(await client.call('GET /v1/orders/:id', { params: { id } }), details)
      })
    )
  addActions(order, begin)
  order
    .command('wait')
    .description('until an order is in a phase; --timeout says how long')
    .argument('<id>', 'id, or its first eight digits')
    .option('--phase <phases>', 'any of these, separated by commas', finalPhases.join(','))
    .action(begin(wait))
}

/** What either side can do. Each is a verb; the node says when it is not its time. */
function addActions(order: Command, begin: Begin): void {
  const verb = (name: string, description: string): Command =>
    order.command(name).description(description).argument('<id>', 'id, or its first eight digits')

  verb('accept', 'sell it').action(begin((run, id: string) => act(run, id, { action: 'accept' })))
  verb('decline', 'do not sell it')
    .option('--why <text>', 'for the buyer')
    .action(begin((run, id: string, { why }: { why?: string }) => act(run, id, { action: 'decline', why })))
  verb('cancel', 'take it back, as far as the terms allow')
    .option('--why <text>', 'for the other side')
    .action(
      begin(async (run, id: string, { why }: { why?: string }) => {
        await run.confirm(`Cancel order ${id}?`)
        await act(run, id, { action: 'cancel', why })
      })
    )
  verb('paid', 'say that you have paid directly')
    .option('--reference <text>', 'what the seller finds it by')
    .action(
      begin((run, id: string, { reference }: { reference?: string }) => act(run, id, { action: 'paid', reference }))
    )
  verb('payment-received', 'say that the money is there').action(
    begin((run, id: string) => act(run, id, { action: 'payment-received' }))
  )
  verb('ship', 'say that it is on its way')
    .option('--carrier <name>', 'who brings it')
    .option('--tracking <code>', 'how it is followed')
    .action(
      begin((run, id: string, { carrier, tracking }: { carrier?: string; tracking?: string }) =>
        act(run, id, { action: 'ship', carrier, tracking })
      )
    )
  verb('handover', 'hand it over against the code that the buyer shows')
    .option('--code <code>', 'the code; asked for, or - for standard input')
    .action(
      begin(async (run, id: string, { code }: { code?: string }) =>
        act(run, id, { action: 'handover', code: await codeFrom(run, code) })
      )
    )
  verb('confirm', 'it came and is as described: the seller is paid').action(
    begin(async (run, id: string) => {
      await run.confirm(`Confirm order ${id}? The seller is then paid for good.`)
      await act(run, id, { action: 'confirm' })
    })
  )
  verb('refund', 'give the money back').action(
    begin(async (run, id: string) => {
      await run.confirm(`Refund order ${id}?`)
      await act(run, id, { action: 'refund' })
    })
  )
}

async function act(run: Invocation, id: string, body: Action): Promise<void> {
  const client = await run.client()
  await run.out.show(await client.call('POST /v1/orders/:id/actions', { params: { id }, body }), details)
}

async function buy(run: Invocation, listing: string, flags: BuyFlags): Promise<void> {
  const client = await run.client()
  const body = await requestOf(listing, flags)
  const view = await client.call('GET /v1/listings/:id', { params: { id: listing } })
  if (flags.dryRun === true) {
    const { title, price } = view
    const columns = [
      { name: 'title', of: () => title },
      { name: 'price', of: () => moneyText(price) },
      ...Object.entries(body).map(([name, value]) => ({ name, of: () => String(value) }))
    ]
    return run.out.show({ ...body, title, price }, { columns })
  }
  await run.confirm(question(view, body))
  await run.out.show(await client.call('POST /v1/orders', { body }), details)
}

function question({ title, price, nym }: ListingView, { quantity = 1, settlement }: BuyRequest): string {
  const pays = settlement === 'direct' ? '' : ' With escrow, the money moves at once and is held until it came.'
  return `Buy ${quantity} × ${printable(title)} at ${moneyText(price)} from ${nym}?${pays}`
}

async function requestOf(listing: string, flags: BuyFlags): Promise<BuyRequest> {
  if (flags.escrow === true && flags.direct === true) throw new CliError('usage', 'either --escrow or --direct')
  if (flags.pickUp === true && flags.shipTo !== undefined) throw new CliError('usage', 'either --ship-to or --pick-up')
  const delivery = flags.shipTo === undefined ? (flags.pickUp === true ? 'pick-up' : undefined) : 'ship'
  const settlement = flags.escrow === true ? 'escrow' : flags.direct === true ? 'direct' : undefined
  return {
    listing,
    ...(flags.quantity === undefined ? {} : { quantity: countOf(flags.quantity, '--quantity') }),
    ...(delivery === undefined ? {} : { delivery }),
    ...(settlement === undefined ? {} : { settlement }),
    ...(flags.shipTo === undefined ? {} : { shipTo: await addressFrom(flags.shipTo) }),
    ...(flags.note === undefined ? {} : { note: flags.note }),
    ...(flags.key === undefined ? {} : { requestKey: flags.key })
  }
}

/** An address is nobody's business, and a command line is everybody's: it may come from a file. */
async function addressFrom(text: string): Promise<string> {
  if (text === '-') return (await readText('-')).trim()
  return text.startsWith('@') ? (await readText(text.slice(1))).trim() : text
}

async function codeFrom({ ask }: Invocation, code: string | undefined): Promise<string> {
  if (code === '-') return (await readText('-')).trim()
  const given = code ?? (await ask?.text('The code that the buyer shows'))
  if (given === undefined) throw new CliError('usage', 'a handover needs the code that the buyer shows: --code')
  return given
}

/**
 * Waits for events, not for time. The first event of the stream is a gap, because it is asked for from a place that
 * does not exist: it says that from here on nothing is missed, so the order is looked at then and at each of its
 * events.
 */
async function wait(run: Invocation, id: string, flags: { phase: string }): Promise<void> {
  const wanted = flags.phase.split(',').map((phase) => phase.trim().toUpperCase())
  const client = await run.client()
  const { id: whole } = await client.call('GET /v1/orders/:id', { params: { id } })
  const signal = AbortSignal.any([run.signal, timeoutOf(waitTimeoutSeconds)])
  for await (const event of client.events({ signal, after: 'now' })) {
    if (event.type !== 'gap' && !(event.type === 'order' && event.id === whole)) continue
    const order = await client.call('GET /v1/orders/:id', { params: { id: whole } })
    if (wanted.includes(order.phase)) return run.out.show(order, details)
    if (finalPhases.includes(order.phase)) {
      throw new CliError('order-ended', `the order is ${order.phase} and will not be ${wanted.join(' or ')}`)
    }
    run.out.note(`${order.phase} …`)
  }
}
