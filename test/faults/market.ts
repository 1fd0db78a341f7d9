import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createDevnet, type Devnet, type DevnetInit, type Person, soukCommand } from '@souk/devnet'
import type { ListingView, OrderView } from '@souk/node'
import { expect } from 'vitest'

/** A market of real processes whose logs are read for what nobody caught. */
export interface FaultyMarket extends AsyncDisposable {
  readonly net: Devnet
  /** Lines that each process wrote to its log, with whose they are. */
  readonly log: readonly string[]
}

/** Rounds and minutes in place of seconds: `SOUK_FAULTS=long`, see README. */
export const isLong = process.env['SOUK_FAULTS'] === 'long'

/** Starts a market without a chain; disposing of it fails when a process had an error that nobody caught. */
export async function openMarket(init: DevnetInit = {}): Promise<FaultyMarket> {
  const log: string[] = []
  const net = await createDevnet({ chain: false, ...init, onLog: (line, from) => log.push(`${from}: ${line}`) })
  return {
    net,
    log,
    async [Symbol.asyncDispose]() {
      await net[Symbol.asyncDispose]()
      expect(uncaughtIn(log)).toEqual([])
    }
  }
}

/** What Node says when it ends for an error, and what a daemon calls an error without a code of ours. */
export function uncaughtIn(log: readonly string[]): string[] {
  return log.filter((line) => /Node\.js v\d|[Uu]ncaught|[Uu]nhandled|Assertion|FATAL|: internal: /.test(line))
}

/** What `souk doctor` finds, by check; it ends with status 1 when something is not well. */
export async function doctor(
  person: Person
): Promise<Record<string, { result: string; detail: string; hint?: string }>> {
  const [node = '', ...souk] = soukCommand()
  const args = [...souk, '--home', person.home, '--json', 'doctor']
  const { stdout } = await promisify(execFile)(node, args).catch((error: unknown) => error as { stdout: string })
  const findings = JSON.parse(stdout) as { check: string; result: string; detail: string; hint?: string }[]
  return Object.fromEntries(findings.map(({ check, ...rest }) => [check, rest]))
}

export function publish(person: Person, title: string): Promise<ListingView> {
  return person.call('POST /v1/listings', {
    body: {
      title,
      category: 'hg',
      businessFunction: 'Give',
      trade: 'fixed-price',
      settlements: [{ kind: 'none' }],
      delivery: [{ kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 }],
      quantity: 3
    }
  })
}

/** Keys of all listings that a node has of somebody. */
export async function keysOf(person: Person, seller: Person): Promise<Set<string>> {
  const list = await person.call('GET /v1/listings', { query: { seller: seller.did, limit: 500 } })
  return new Set(list.map(({ key }) => key))
}

export function untilHeld(person: Person, seller: Person, listings: readonly ListingView[]): Promise<true> {
  return person.until(
    `${listings.length} listings of ${seller.name}`,
    async () => {
      const keys = await keysOf(person, seller)
      return listings.every(({ key }) => keys.has(key)) && (true as const)
    },
    { timeoutMs: 60_000, everyMs: 250 }
  )
}

export function request(buyer: Person, listing: ListingView): Promise<OrderView> {
  return buyer.call('POST /v1/orders', {
    body: { listing: listing.id, delivery: 'ship', country: 'DE', shipTo: `${buyer.name}, Berlin` }
  })
}

export function act(person: Person, id: string, action: 'accept' | 'ship' | 'confirm'): Promise<OrderView> {
  const body = action === 'ship' ? { action, tracking: 'X1' } : { action }
  return person.call('POST /v1/orders/:id/actions', { params: { id }, body })
}

export function untilOrder(person: Person, id: string, is: (order: OrderView) => boolean): Promise<OrderView> {
  return person.until(
    'the order as it should be',
    async () => {
      const order = (await person.call('GET /v1/orders')).find((each) => each.id === id)
      return order !== undefined && is(order) && order
    },
    { timeoutMs: 60_000, everyMs: 250 }
  )
}

/** A gift from asking to confirming: eight letters. */
export async function trade({ seller, buyer, listing }: { seller: Person; buyer: Person; listing: ListingView }) {
  const { id } = await request(buyer, listing)
  await untilOrder(seller, id, ({ phase }) => phase === 'REQUESTED')
  await act(seller, id, 'accept')
  await act(seller, id, 'ship')
  await untilOrder(buyer, id, ({ tracking }) => tracking?.code === 'X1')
  await act(buyer, id, 'confirm')
  return Promise.all([seller, buyer].map((side) => untilOrder(side, id, ({ phase }) => phase === 'CLOSED')))
}
