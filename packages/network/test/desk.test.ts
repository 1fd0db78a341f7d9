import { describe, expect, it } from 'vitest'
import { Desk } from '../src/desk.ts'
import { Shares } from '../src/guard/shares.ts'

describe('a desk', () => {
  it('has places for all who have one question, and half of them for those of one block', () => {
    const desk = new Desk(8)
    const entered = (blocks: readonly string[]): boolean[] => blocks.map((block) => desk.enter(block))
    expect(entered(['a', 'a', 'a', 'a', 'a'])).toEqual([true, true, true, true, false])
    expect(entered(['b', 'b', 'b', 'c', 'd', 'e'])).toEqual([true, true, false, true, true, false])
    desk.leave('a')
    expect(desk.enter('e')).toBe(true)
  })

  it('gives up the answer that has been on its way longest when too many are not read', () => {
    const desk = new Desk(2)
    const aborted: string[] = []
    const readers = ['first', 'second', 'third', 'fourth'].map((name) => ({ abort: () => void aborted.push(name) }))
    desk.hand(readers[0]!)
    desk.hand(readers[1]!)
    desk.taken(readers[1]!)
    for (const reader of readers.slice(2)) desk.hand(reader)
    expect(aborted).toEqual(['first'])
  })
})

describe('shares', () => {
  it('name whoever holds most, unless that is the newcomer', () => {
    const shares = new Shares()
    shares.add('a', 5)
    shares.add('b', 3)
    expect([shares.crowding('c'), shares.crowding('b'), shares.crowding('a')]).toEqual(['a', 'a', undefined])
    shares.add('a', -5)
    expect([shares.total, shares.of('a'), shares.crowding('c')]).toEqual([3, 0, 'b'])
    shares.add('c', 3)
    expect(shares.crowding('c')).toBeUndefined()
  })
})
