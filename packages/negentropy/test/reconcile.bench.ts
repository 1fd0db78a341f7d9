import { createItemTree, createItemVector, createReconciler, type Item, type ItemSet } from '../src/index.ts'
import { itemOf, reconcileFully } from './session.ts'

/**
 * Bytes, rounds and CPU of a session between sets of 100,000. Run from the root with
 * `node --conditions=@souk/source packages/negentropy/test/reconcile.bench.ts`; prints one JSON object a line.
 */
const count = 100_000
const startMs = 1_790_000_000_000
const all = Array.from({ length: count }, (_, n) => itemOf(n, startMs + n * 7_001))
const newestMissing = all.slice(0, -1_000)
const scattered = new Set(Array.from({ length: 180 }, (_, i) => (i * 7_919_993) % count))
const scatteredMissing = all.filter((_, n) => !scattered.has(n))

for (const [kind, create] of Object.entries({ vector: createItemVector, tree: createItemTree })) {
  const full = create(all)
  report(`${kind}: equal`, full, create(all))
  report(`${kind}: newest 1,000 missing here`, create(newestMissing), full)
  report(`${kind}: newest 1,000 missing there`, full, create(newestMissing))
  report(`${kind}: 180 scattered missing here`, create(scatteredMissing), full)
  report(`${kind}: 180 scattered missing there`, full, create(scatteredMissing))
  report(`${kind}: nothing here`, create([]), full)
  report(`${kind}: nothing there`, full, create([]))
}
reportTree()
reportWorstMessage()

function report(name: string, ours: ItemSet, theirs: ItemSet): void {
  for (let warm = 0; warm < 5; warm++) reconcileFully(ours, theirs)
  const times = Array.from({ length: 11 }, () => timedMs(() => reconcileFully(ours, theirs)))
  const { bytes, rounds, have, need } = reconcileFully(ours, theirs)
  const differences = have.length + need.length
  print({ name, bytes, bytesWithoutIds: bytes - 32 * differences, rounds, differences, cpuMsBothSides: median(times) })
}

/** What a live node pays: building, one change, and a fingerprint after a change. */
function reportTree(): void {
  const before = process.memoryUsage().arrayBuffers
  const tree = createItemTree(all)
  const bytesPerItem = Math.round((process.memoryUsage().arrayBuffers - before) / count)
  const changes = Array.from({ length: 20_000 }, (_, n) => itemOf(count + n, startMs + ((n * 7_919) % count) * 7_001))
  const insertMs = timedMs(() => changes.forEach((item) => tree.insert(item)))
  const mixedMs = timedMs(() => changes.forEach((item) => [tree.delete(item), tree.fingerprint(1_000, 90_000)]))
  print({
    name: 'tree: changes',
    bytesPerItem,
    insertUs: (insertMs * 1000) / changes.length,
    deleteAndFingerprintUs: (mixedMs * 1000) / changes.length
  })
}

/** The most work one message can cost a responder: as many ranges as allowed, each of them equal, so none is answered. */
function reportWorstMessage(): void {
  const items: Item[] = all.slice(0, 32_700)
  const set = createItemTree(items)
  const message: number[] = [0x61]
  for (let i = 1; i <= items.length; i++) message.push(...fingerprintRange(set, i))
  const bytes = Uint8Array.from(message)
  const times = Array.from({ length: 5 }, () =>
    timedMs(() => createReconciler(set, { initiator: false }).reconcile(bytes))
  )
  print({ name: 'tree: worst message', ranges: items.length, bytes: bytes.length, cpuMs: median(times) })
}

function fingerprintRange(set: ItemSet, end: number): number[] {
  const last = end === set.size
  const offset = (last ? 0 : set.timestampMs(end)) - (end === 1 ? 0 : set.timestampMs(end - 1)) + 1
  return [...(last ? [0] : varint(offset)), 0, 1, ...set.fingerprint(end - 1, end)]
}

function varint(value: number): number[] {
  const digits = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) | 0x80)
  return digits
}

function timedMs(run: () => void): number {
  const before = performance.now()
  run()
  return performance.now() - before
}

function median(values: number[]): number {
  return Number(values.toSorted((a, b) => a - b)[values.length >> 1]!.toFixed(3))
}

function print(row: object): void {
  process.stdout.write(`${JSON.stringify(row)}\n`)
}
