import type { Columns } from './columns.ts'
import { isBefore, rankInColumns } from './columns.ts'
import type { ItemSet } from './item-set.ts'
import { checkItem, compareBytes, sortedItems, type Bound, type Item } from './item.ts'
import { idBytes } from './limits.ts'
import { addId, addSum, copySum, createFingerprinting, subtractId, subtractSum, sumWords } from './sum.ts'

/** A set that changes while sessions run over it. */
export interface ItemTree extends ItemSet {
  /** Puts an item in; false when it was there. Throws `bad-item`. */
  insert(item: Item): boolean
  /** Takes an item out; false when it was not there. */
  delete(item: Item): boolean
  has(item: Item): boolean
}

/**
 * Items of a full leaf. A fingerprint sums a few items at either end, a change makes the marks of its leaf and the
 * directory behind it stale: a few microseconds at 100,000 items (measured, test/reconcile.bench.ts).
 */
const leafItemsMax = 128

/** How full a leaf is when a tree is built at once: room for late arrivals without a split. */
const leafItemsBuilt = 96

/** Items between two marks of a leaf: a sum is taken from the nearest, two items away at most. */
const markedItems = 4

/** One stretch of the set with the sum of its ids. Only the single leaf of an empty tree is empty. */
interface Leaf extends Columns {
  readonly sum: Uint32Array
  /** Sums of its first 0, 4, 8, … ids, from when they are asked for until it changes: 8 bytes an item. */
  marks: Uint32Array | undefined
}

/** For each leaf, and one past the last: items and id sum of all leaves before it. True up to leaf `freshTo`. */
interface Directory {
  starts: Uint32Array
  sums: Uint32Array
  freshTo: number
}

/**
 * A set that changes: a tree of two levels. Leaves of up to 128 items in typed columns (40 bytes an item, none of them
 * an object) carry the sum of their ids; the directory above them is re-summed from the first changed leaf on when
 * somebody asks. A change costs two binary searches and one move within a leaf.
 *
 * A session over a tree that changes between two messages still ends; what changed meanwhile may be missed or be
 * reported although it has arrived, so a caller drops what it finds it has.
 *
 * @param items - To start with, in any order.
 * @throws NegentropyError `bad-item`.
 */
export function createItemTree(items: Iterable<Item> = []): ItemTree {
  return new TwoLevelTree(items)
}

class TwoLevelTree implements ItemTree {
  readonly #leaves: Leaf[]
  #size = 0
  /** Where sums are computed: 200 bytes of garbage less for each fingerprint, of which a session has thousands. */
  readonly #sum = new Uint32Array(sumWords)
  readonly #lower = new Uint32Array(sumWords)
  readonly #fingerprintOf = createFingerprinting()
  readonly #directory: Directory = { starts: new Uint32Array(1), sums: new Uint32Array(sumWords), freshTo: 0 }

  constructor(items: Iterable<Item>) {
    const sorted = sortedItems(items)
    this.#size = sorted.length
    this.#leaves = [createLeaf()]
    for (let at = 0; at < sorted.length; at += leafItemsBuilt) {
      this.#leaves[at / leafItemsBuilt] = createLeaf(sorted.slice(at, at + leafItemsBuilt))
    }
  }

  get size(): number {
    return this.#size
  }

  insert(item: Item): boolean {
    checkItem(item)
    let { leafAt, at } = this.#find(item)
    let leaf = this.#leaf(leafAt)
    if (holds(leaf, at, item)) return false
    if (leaf.count === leafItemsMax) {
      this.#split(leafAt)
      ;({ leafAt, at } = this.#find(item))
      leaf = this.#leaf(leafAt)
    }
    insertInLeaf(leaf, at, item)
    this.#size++
    this.#stale(leafAt)
    return true
  }

  delete(item: Item): boolean {
    const { leafAt, at } = this.#find(item)
    const leaf = this.#leaf(leafAt)
    if (!holds(leaf, at, item)) return false
    deleteFromLeaf(leaf, at)
    this.#shrink(leafAt)
    this.#size--
    this.#stale(leafAt - 1)
    return true
  }

  has(item: Item): boolean {
    const { leafAt, at } = this.#find(item)
    return holds(this.#leaf(leafAt), at, item)
  }

  rank(bound: Bound): number {
    const leafAt = this.#leafOf(bound)
    return start(this.#fresh(), leafAt) + rankInColumns(this.#leaf(leafAt), bound)
  }

  timestampMs(index: number): number {
    const leafAt = this.#leafAt(index)
    return this.#leaf(leafAt).timestamps[index - start(this.#fresh(), leafAt)] as number
  }

  ids(begin: number, end: number): Uint8Array {
    const result = new Uint8Array((end - begin) * idBytes)
    this.copyIds({ begin, end }, result)
    return result
  }

  copyIds({ begin, end }: { begin: number; end: number }, target: Uint8Array): void {
    let at = begin
    for (let leafAt = this.#leafAt(begin); at < end; leafAt++) {
      const leaf = this.#leaf(leafAt)
      const from = at - start(this.#fresh(), leafAt)
      const to = Math.min(leaf.count, from + end - at)
      target.set(leaf.ids.subarray(from * idBytes, to * idBytes), (at - begin) * idBytes)
      at += to - from
    }
  }

  fingerprint(begin: number, end: number): Uint8Array {
    if (begin !== end) {
      this.#sumBefore(begin, this.#lower)
      this.#sumBefore(end, this.#sum)
      subtractSum(this.#sum, 0, this.#lower, 0)
    }
    return this.#fingerprintOf(this.#sum, end - begin)
  }

  /** The sum of the ids before an index, from the nearest mark of its leaf. */
  #sumBefore(index: number, sum: Uint32Array): void {
    const { sums, starts } = this.#fresh()
    const leafAt = this.#leafAt(index)
    const leaf = this.#leaf(leafAt)
    const within = index - (starts[leafAt] as number)
    const mark = Math.min(Math.round(within / markedItems), Math.floor(leaf.count / markedItems))
    copySum(sum, 0, sums, leafAt * sumWords)
    addSum(sum, 0, marksOf(leaf), mark * sumWords)
    for (let i = within; i < mark * markedItems; i++) subtractId(sum, 0, leaf.ids, i * idBytes)
    for (let i = mark * markedItems; i < within; i++) addId(sum, 0, leaf.ids, i * idBytes)
  }

  #find({ timestampMs, id }: Item): { leafAt: number; at: number } {
    const bound = { timestampMs, idPrefix: id }
    const leafAt = this.#leafOf(bound)
    return { leafAt, at: rankInColumns(this.#leaf(leafAt), bound) }
  }

  /** The leaf in which the bound falls: the first whose last item is not before it, else the last leaf. */
  #leafOf(bound: Bound): number {
    let low = 0
    let high = this.#leaves.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      const leaf = this.#leaf(middle)
      if (isBefore(leaf, leaf.count - 1, bound)) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The leaf that holds an index; the last one for the index past the end. */
  #leafAt(index: number): number {
    const { starts } = this.#fresh()
    let low = 0
    let high = this.#leaves.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((starts[middle] as number) <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  #leaf(at: number): Leaf {
    return this.#leaves[at] as Leaf
  }

  #split(leafAt: number): void {
    const [left, right] = halves(this.#leaf(leafAt))
    this.#leaves.splice(leafAt, 1, left, right)
    this.#stale(leafAt)
  }

  /** Joins a leaf that became small with a neighbour when both fit in half a leaf, and drops an empty one. */
  #shrink(leafAt: number): void {
    for (const left of [leafAt - 1, leafAt]) {
      const [a, b] = [this.#leaves[left], this.#leaves[left + 1]]
      if (a && b && (a.count + b.count <= leafItemsMax / 2 || a.count * b.count === 0)) {
        this.#leaves.splice(left, 2, joined(a, b))
        return
      }
    }
  }

  /** Marks what the directory says of the leaves behind this one as out of date. */
  #stale(leafAt: number): void {
    this.#directory.freshTo = Math.max(0, Math.min(this.#directory.freshTo, leafAt))
  }

  #fresh(): Directory {
    if (this.#directory.freshTo < this.#leaves.length) refresh(this.#directory, this.#leaves)
    return this.#directory
  }
}

function start(directory: Directory, leafAt: number): number {
  return directory.starts[leafAt] as number
}

function refresh(directory: Directory, leaves: readonly Leaf[]): void {
  if (directory.starts.length <= leaves.length) enlarge(directory, 2 * leaves.length)
  const { starts, sums } = directory
  for (let i = directory.freshTo; i < leaves.length; i++) {
    const leaf = leaves[i] as Leaf
    starts[i + 1] = start(directory, i) + leaf.count
    copySum(sums, (i + 1) * sumWords, leaf.sum, 0)
    addSum(sums, (i + 1) * sumWords, sums, i * sumWords)
  }
  directory.freshTo = leaves.length
}

function enlarge(directory: Directory, leaves: number): void {
  const { starts, sums } = directory
  directory.starts = new Uint32Array(leaves + 1)
  directory.sums = new Uint32Array((leaves + 1) * sumWords)
  directory.starts.set(starts)
  directory.sums.set(sums)
}

function createLeaf(items: readonly Item[] = []): Leaf {
  const leaf: Leaf = {
    timestamps: new Float64Array(leafItemsMax),
    ids: new Uint8Array(leafItemsMax * idBytes),
    sum: new Uint32Array(sumWords),
    marks: undefined,
    count: 0
  }
  for (const item of items) insertInLeaf(leaf, leaf.count, item)
  return leaf
}

function marksOf(leaf: Leaf): Uint32Array {
  return (leaf.marks ??= markedSums(leaf))
}

function markedSums({ ids, count }: Leaf): Uint32Array {
  const marks = new Uint32Array((Math.floor(count / markedItems) + 1) * sumWords)
  for (let at = sumWords; at < marks.length; at += sumWords) {
    const from = (at / sumWords - 1) * markedItems
    copySum(marks, at, marks, at - sumWords)
    for (let i = from; i < from + markedItems; i++) addId(marks, at, ids, i * idBytes)
  }
  return marks
}

function insertInLeaf(leaf: Leaf, at: number, { timestampMs, id }: Item): void {
  leaf.timestamps.copyWithin(at + 1, at, leaf.count)
  leaf.ids.copyWithin((at + 1) * idBytes, at * idBytes, leaf.count * idBytes)
  leaf.timestamps[at] = timestampMs
  leaf.ids.set(id, at * idBytes)
  addId(leaf.sum, 0, id, 0)
  leaf.marks = undefined
  leaf.count++
}

function deleteFromLeaf(leaf: Leaf, at: number): void {
  subtractId(leaf.sum, 0, leaf.ids, at * idBytes)
  leaf.timestamps.copyWithin(at, at + 1, leaf.count)
  leaf.ids.copyWithin(at * idBytes, (at + 1) * idBytes, leaf.count * idBytes)
  leaf.marks = undefined
  leaf.count--
}

function holds(leaf: Leaf, at: number, { timestampMs, id }: Item): boolean {
  return (
    at < leaf.count && leaf.timestamps[at] === timestampMs && compareBytes(leaf.ids, at * idBytes, id, 0, idBytes) === 0
  )
}

function halves(leaf: Leaf): [Leaf, Leaf] {
  const middle = leaf.count >>> 1
  const [left, right] = [createLeaf(), createLeaf()]
  append(left, leaf, { from: 0, to: middle })
  append(right, leaf, { from: middle, to: leaf.count })
  return [left, right]
}

function joined(a: Leaf, b: Leaf): Leaf {
  const leaf = createLeaf()
  append(leaf, a, { from: 0, to: a.count })
  append(leaf, b, { from: 0, to: b.count })
  return leaf
}

function append(target: Leaf, source: Leaf, { from, to }: { from: number; to: number }): void {
  target.timestamps.set(source.timestamps.subarray(from, to), target.count)
  target.ids.set(source.ids.subarray(from * idBytes, to * idBytes), target.count * idBytes)
  for (let i = from; i < to; i++) addId(target.sum, 0, source.ids, i * idBytes)
  target.marks = undefined
  target.count += to - from
}
