import type { Devnet } from './devnet.ts'
import type { Person } from './person.ts'
import type { Goods } from './goods.ts'
import type { Story } from './story.ts'

/** Who takes part in the demo. */
export const names = { seller: 'Ana', buyer: 'Bruno', neighbour: 'Chidi', onlooker: 'Dana' } as const

/** The stage: what every act of the demo needs. */
export interface Stage {
  readonly market: Devnet
  readonly story: Story
  readonly seller: Person
  readonly buyer: Person
  readonly goods: readonly Goods[]
}
