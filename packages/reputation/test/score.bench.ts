import { createGraph } from '../src/index.ts'
import { honestSale, Market, names, nowMs } from './market.ts'

/**
 * What a score costs in a graph of 100,000 edges. Run from the root with
 * `node --conditions=@souk/source packages/reputation/test/score.bench.ts`; prints one JSON object a line.
 */
const market = new Market(1)
const [buyers, sellers] = [names('buyer', 12_000), names('seller', 1_500)]
while (market.edges.length < 100_000) honestSale(market, market.pick(buyers), market.pick(sellers))
for (const seller of sellers.slice(0, 8)) market.sale('reader', seller, { stars: 5, valueUnits: 60, daysAgo: 20 })

const before = process.memoryUsage().heapUsed
const graph = createGraph({ seed: 1 })
const addMs = timedMs(() => {
  for (const edge of market.edges) graph.add(edge)
  for (const order of market.orders) graph.addOrder(order)
})
print({
  name: 'add',
  held: graph.size,
  totalMs: addMs,
  bytesEach: (process.memoryUsage().heapUsed - before) / graph.size
})

const reader = { roots: ['reader'], nowMs }
print({ name: 'first score', ms: timedMs(() => graph.score('seller9', reader)) })
const cold = sellers.slice(10, 210).map((seller) => timedMs(() => graph.score(seller, reader)))
print({ name: 'another subject', ...quantiles(cold) })
print({ name: 'asked again', ms: timedMs(() => graph.score('seller50', reader)) })
const changed = sellers.slice(300, 500).map((seller, n) => {
  graph.add({ ...market.edges[n]!, order: `new${n}` })
  return timedMs(() => graph.score(seller, reader))
})
print({ name: 'after a new edge', ...quantiles(changed) })

function quantiles(values: number[]): { p50Ms: number; p99Ms: number } {
  const sorted = values.toSorted((a, b) => a - b)
  return { p50Ms: sorted[sorted.length >> 1]!, p99Ms: sorted[Math.floor(sorted.length * 0.99)]! }
}

function timedMs(run: () => void): number {
  const start = performance.now()
  run()
  return performance.now() - start
}

function print(row: object): void {
  process.stdout.write(
    `${JSON.stringify(row, (_, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(3)) : value))}\n`
  )
}
