import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createItemTree, type Bound, type Item, type ItemSet, type ItemTree } from '../src/index.ts'
import { anyItem, runItemSetTests } from './item-set-suite.ts'
import { keyOf, modelOf } from './model.ts'
import { itemOf, toHex } from './session.ts'

runItemSetTests('an item tree', createItemTree)
runItemSetTests('an item tree filled item by item', (items) => {
  const tree = createItemTree()
  for (const item of items) tree.insert(item)
  return tree
})
runItemSetTests('an item tree that was larger once', (items) => {
  const passing = Array.from({ length: 1_000 }, (_, n) => itemOf(10_000 + n, n * 2 ** 30))
  const tree = createItemTree([...passing, ...items])
  for (const item of passing) tree.delete(item)
  return tree
})

describe('item tree', () => {
  it('tells whether a change changed anything', () => {
    const tree = createItemTree()
    const item = itemOf(1, 5)
    expect([tree.has(item), tree.insert(item), tree.insert(item), tree.has(item), tree.size]).toEqual([
      false,
      true,
      false,
      true,
      1
    ])
    expect([tree.delete(item), tree.delete(item), tree.has(item), tree.size]).toEqual([true, false, false, 0])
  })

  it('keeps what it was given when the caller overwrites the id', () => {
    const item = itemOf(1, 5)
    const tree = createItemTree([item])
    item.id.fill(0)
    expect(toHex(tree.ids(0, 1))).toBe(toHex(itemOf(1, 5).id))
  })

  it('agrees with a sorted array after any changes, asked at any moment', () => {
    const change = fc.record({
      kind: fc.constantFrom('insert', 'insert', 'delete', 'ask'),
      which: fc.nat(),
      item: anyItem
    })
    fc.assert(
      fc.property(fc.nat(1_500), fc.array(change, { maxLength: 300 }), (initial, changes) => {
        const items = Array.from({ length: initial }, (_, n) => itemOf(n, n % 700))
        const tree = createItemTree(items)
        const present = new Map(items.map((item) => [keyOf(item), item]))
        expect(changes.every((change) => apply(tree, present, change))).toBe(true)
        expect(read(tree, present)).toEqual(expected(present))
      }),
      { numRuns: 40 }
    )
  })

  it.each(['forwards', 'backwards', 'from the middle'])('empties %s and stays right', (order) => {
    const items = Array.from({ length: 2_000 }, (_, n) => itemOf(n, n))
    const tree = createItemTree(items)
    const present = new Map(items.map((item) => [keyOf(item), item]))
    const seen: unknown[][] = []
    while (present.size > 0) {
      const [key, item] = [...present][{ forwards: 0, backwards: present.size - 1 }[order] ?? present.size >> 1]!
      tree.delete(item)
      present.delete(key)
      if (present.size % 250 === 0) seen.push([read(tree, present), expected(present)])
    }
    expect(tree.insert(itemOf(7, 7))).toBe(true)
    expect(seen.map(([real]) => real)).toEqual(seen.map(([, model]) => model))
    expect(toHex(tree.ids(0, 1))).toBe(toHex(itemOf(7, 7).id))
  })
})

interface Change {
  kind: string
  which: number
  item: Item
}

/** Does one change to both; false when the tree tells something else than happened. */
function apply(tree: ItemTree, present: Map<string, Item>, { kind, which, item }: Change): boolean {
  if (kind === 'ask') return tree.fingerprint(0, which % (tree.size + 1)).length === 16
  if (kind === 'insert') {
    const isNew = !present.has(keyOf(item))
    present.set(keyOf(item), item)
    return tree.insert(item) === isNew
  }
  const [key, gone] = [...present][which % Math.max(1, present.size)] ?? [keyOf(item), item]
  return tree.delete(gone) === present.delete(key)
}

function read(tree: ItemSet, present: Map<string, Item>): unknown {
  const { items } = modelOf([...present.values()])
  return {
    size: tree.size,
    ids: digest(tree.ids(0, tree.size)),
    fingerprints: cuts(items.length).map(([begin, end]) => toHex(tree.fingerprint(begin, end))),
    ranks: probes(items).map((bound) => tree.rank(bound))
  }
}

function expected(present: Map<string, Item>): unknown {
  const model = modelOf([...present.values()])
  return {
    size: model.items.length,
    ids: digest(...model.items.map((item) => item.id)),
    fingerprints: cuts(model.items.length).map(([begin, end]) => model.fingerprint(begin, end)),
    ranks: probes(model.items).map((bound) => model.rank(bound))
  }
}

/** Keeps what a failing test prints short. */
function digest(...parts: Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

function cuts(size: number): [number, number][] {
  return [
    [0, size],
    [size >> 2, size],
    [0, size >> 1],
    [size >> 2, size >> 1]
  ]
}

function probes(items: Item[]): Bound[] {
  return items.filter((_, i) => i % 97 === 0).map(({ timestampMs, id }) => ({ timestampMs, idPrefix: id }))
}
