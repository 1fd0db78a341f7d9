import { categories, isCategory, isCategoryId, topCategory } from '@souk/records'
import { expect, test } from 'vitest'

test('twenty-five verticals of the Shopify taxonomy and three of our own, each id once', () => {
  const tops = categories.map(({ id }) => id)
  expect(tops.filter((id) => /^[a-z]{2}$/.test(id))).toHaveLength(25)
  expect(tops.filter((id) => id.startsWith('x-'))).toEqual(['x-services', 'x-rentals', 'x-requests'])
  const all = categories.flatMap(({ id, children }) => [id, ...children.map((child) => child.id)])
  expect(new Set(all).size).toBe(all.length)
})

test('every id has the right form, a name, and its vertical above it', () => {
  for (const { id, name, children } of categories) {
    expect(name).toMatch(/^[A-Z].+$/)
    expect(topCategory(id)).toBe(id)
    for (const child of children) {
      expect(child.name).toMatch(/^[A-Z].+$/)
      expect(isCategoryId(child.id)).toBe(true)
      expect(isCategory(child.id)).toBe(true)
      expect(topCategory(child.id)).toBe(id)
    }
  }
})

test.each([
  ['el-7', 'Electronics Accessories'],
  ['co-2', 'Cameras'],
  ['lb-16', 'Dry Bags'],
  ['vp-2', 'Vehicles'],
  ['x-services-repair', 'Repair']
])('%s is %s', (id, name) => {
  const children = categories.find((category) => category.id === topCategory(id))?.children
  expect(children?.find((child) => child.id === id)?.name).toBe(name)
})

test.each([
  ['a later id below a known vertical', 'el-21', true],
  ['a later one of ours', 'x-services-knitting', true],
  ['a third level', 'el-7-1', false],
  ['an unknown vertical', 'zz-1', false],
  ['Shopify’s services', 'se-1', false],
  ['an unknown one of ours', 'x-gifts', false],
  ['capitals', 'EL', false],
  ['nothing', '', false],
  ['a number that starts with zero', 'el-01', false]
])('%s, %s: %s', (_, id, is) => expect(isCategoryId(id)).toBe(is))
