import { categories, type Channel } from '@souk/records'

/** Which channels of which markets a relay carries. */
export type Carried = Readonly<Record<string, readonly Channel[]>>

/** Every channel that a market has: people, feedback, and listings by top category. */
export const everyChannel: readonly Channel[] = [
  'people',
  'feedback',
  ...categories.map(({ id }): Channel => `listings/${id}`)
]

export function isCarriable(name: string): name is Channel {
  return everyChannel.some((channel) => channel === name)
}

/** @param markets - By market `all`, or the channels wanted. */
export function carriedOf(markets: Readonly<Record<string, 'all' | readonly Channel[]>>): Carried {
  return Object.fromEntries(
    Object.entries(markets).map(([market, channels]) => [market, channels === 'all' ? everyChannel : channels])
  )
}
