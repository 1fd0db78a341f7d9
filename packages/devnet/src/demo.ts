import type { ReputationView } from '@souk/node'
import { openMarket } from './act-market.ts'
import { judge } from './act-reputation.ts'
import { comeBack } from './act-return.ts'
import { trade } from './act-trade.ts'
import { names } from './cast.ts'
import { createDevnet, type Devnet } from './devnet.ts'
import { readGoods } from './goods.ts'
import type { Balances } from './money.ts'
import { createStory, type Listener, seen, type Step, type Story } from './story.ts'

/** What `npm run demo` showed. */
export interface DemoResult {
  /** True when every step held. */
  readonly ok: boolean
  readonly steps: readonly Step[]
  readonly balances: { readonly before?: Balances; readonly after?: Balances }
  readonly reputation?: ReputationView
  /** What ended the story before its end. */
  readonly error?: Error
  /** Still running, unless it never came to be. */
  readonly market?: Devnet
}

export interface DemoInit {
  /** Where the homes are. */
  readonly directory: string
  readonly listener: Listener
  readonly onLog: (line: string, from: string) => void
  /** Ends the market, and with it the story. */
  readonly signal: AbortSignal
}

/**
 * Tells the whole story. A step that does not hold ends it; what was shown until then is in the result, and the market
 * is the caller's to end.
 */
export async function playDemo(init: DemoInit): Promise<DemoResult> {
  const { listener, signal } = init
  const story = createStory(listener, { signal })
  const shown: { -readonly [K in keyof DemoResult]?: DemoResult[K] } = {}
  try {
    const market = (shown.market = await openPlaces(story, init))
    signal.addEventListener('abort', () => void market[Symbol.asyncDispose](), { once: true })
    const [seller, buyer] = [market.person(names.seller), market.person(names.buyer)]
    const stage = { market, story, seller, buyer, goods: await readGoods({ escrow: true }) }
    const { neighbour, wanted } = await openMarket(stage)
    const traded = await trade(stage, wanted)
    shown.balances = { before: traded.before }
    shown.reputation = await judge(stage, { neighbour, rating: traded.rating })
    shown.balances = { before: traded.before, after: await comeBack(stage, traded) }
    shown.ok = true
  } catch (error) {
    shown.error = error as Error
  }
  return { ok: false, balances: {}, ...shown, steps: story.steps }
}

function openPlaces(story: Story, { directory, onLog }: DemoInit): Promise<Devnet> {
  const { seller, buyer } = names
  return story.tell({ who: 'everybody', name: 'relay, chain and two nodes start, each its own process' }, async () => {
    const market = await createDevnet({ people: [seller, buyer], directory, onLog })
    const pids = [market.relay, market.chain, ...market.people].map(({ pid }) => pid)
    return seen(`processes ${pids.join(', ')}`, market)
  })
}
