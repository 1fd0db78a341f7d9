import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { contract } from '@souk/api'
import { describe, expect, test } from 'vitest'
import { categoryOf, type DraftFlags, draftFrom, draftsFromFile, moneyOf } from '../src/draft.ts'
import { temporaryFolder } from './processes.ts'

const ether = { symbol: 'ETH', token: '0x0000000000000000000000000000000000000000', decimals: 18 }
const tokens = async () => [ether]
const draft = async (flags: DraftFlags) => (await draftFrom(flags, tokens)).draft

describe('flags of a listing', () => {
  test.each<[DraftFlags, object]>([
    [{ title: 'Pot' }, { title: 'Pot' }],
    [{ price: '12.50 EUR' }, { price: { minor: '1250', currency: 'EUR' } }],
    [
      { condition: 'Used', quantity: '3', tag: ['a', 'b'] },
      { itemCondition: 'Used', quantity: 3, tags: ['a', 'b'] }
    ],
    [
      { wanted: true, function: 'Give' },
      { type: 'Demand', businessFunction: 'Give' }
    ],
    [{ place: 'de, Berlin' }, { place: { country: 'DE', locality: 'Berlin' } }],
    [
      { place: 'DE,Bavaria,Munich', geohash: 'u281z' },
      { place: { country: 'DE', region: 'Bavaria', locality: 'Munich', geohash: 'u281z' } }
    ],
    [{ escrow: true }, { settlements: [{ kind: 'escrow' }] }],
    [{ escrow: 'USDC', direct: true }, { settlements: [{ kind: 'escrow', token: 'USDC' }, { kind: 'direct' }] }],
    [{ escrow: 'eth:0.005' }, { settlements: [{ kind: 'escrow', token: ether.token, price: '5000000000000000' }] }],
    [{ direct: 'cash, bank' }, { settlements: [{ kind: 'direct', methods: ['cash', 'bank'] }] }],
    [{ free: true }, { settlements: [{ kind: 'none' }] }],
    [{ pickUp: true, digital: true }, { delivery: [{ kind: 'pick-up' }, { kind: 'digital' }] }],
    [
      { price: '1 EUR', ship: ['DE,fr:4.90', 'world:9'], handlingDays: '1', transitDays: '3' },
      {
        price: { minor: '100', currency: 'EUR' },
        delivery: [
          { kind: 'ship', price: '490', to: ['DE', 'FR'], handlingDays: 1, transitDays: 3 },
          { kind: 'ship', price: '900', to: [], handlingDays: 1, transitDays: 3 }
        ]
      }
    ]
  ])('%o make %o', async (flags, expected) => expect(await draft(flags)).toEqual(expected))

  test('make what the API takes', async () => {
    const whole = await draft({
      title: 'Pot',
      category: 'hg',
      price: '12.50 EUR',
      ship: ['DE:4.90'],
      escrow: 'ETH:0.01',
      place: 'DE,Berlin',
      tag: ['kitchen']
    })
    expect(contract['POST /v1/listings'].body.safeParse(whole)).toMatchObject({ success: true })
  })

  test.each<[DraftFlags, string]>([
    [{ price: '12.50' }, 'usage'],
    [{ price: '12.505 EUR' }, 'bad-money'],
    [{ quantity: '-1' }, 'usage'],
    [{ quantity: '1.5' }, 'usage'],
    [{ place: 'Berlin' }, 'usage'],
    [{ geohash: 'u33d' }, 'usage'],
    [{ ship: ['Germany:4'] }, 'usage'],
    [{ ship: ['DE:4.90'] }, 'usage'],
    [{ escrow: 'DOGE:1' }, 'usage'],
    [{ category: 'quantum flux' }, 'usage'],
    [{ from: '/nowhere/at/all.json' }, 'bad-file']
  ])('%o are refused with %s', async (flags, code) => expect(draft(flags)).rejects.toMatchObject({ code }))
})

describe('files of listings', () => {
  test('photos are found from where the file lies, and flags win', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'pot.json')
    await writeFile(path, JSON.stringify({ title: 'Old', category: 'hg', photo: 'a.jpg', photos: ['b/c.jpg'] }))
    const { draft, photos } = await draftFrom({ from: path, title: 'New' }, tokens)
    expect(draft).toEqual({ title: 'New', category: 'hg' })
    expect(photos).toEqual([join(folder, 'a.jpg'), join(folder, 'b', 'c.jpg')])
  })

  test('many are an array, or the listings of an object', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'photos'))
    const path = join(folder, 'all.json')
    await writeFile(path, JSON.stringify({ listings: [{ title: 'A', photo: 'a.jpg' }, { title: 'B' }] }))
    const drafts = await draftsFromFile(path, { photoFolder: join(folder, 'photos') })
    expect(drafts.map(({ photos }) => photos)).toEqual([[join(folder, 'photos', 'a.jpg')], []])
  })

  test.each([
    ['{', 'not JSON'],
    ['{}', 'no array'],
    ['[3]', 'number 1'],
    ['[{"photo": 3}]', 'a photo is the path']
  ])('%s is refused: %s', async (text, message) => {
    const path = join(await temporaryFolder(), 'bad.json')
    await writeFile(path, text)
    await expect(draftsFromFile(path)).rejects.toMatchObject({
      code: 'bad-file',
      message: expect.stringContaining(message) as string
    })
  })
})

describe('prices and categories as people say them', () => {
  test.each([
    ['12.50 EUR', '1250', 'EUR'],
    ['12.5eur', '1250', 'EUR'],
    ['USD 7', '700', 'USD'],
    ['500 JPY', '500', 'JPY']
  ])('%s', (text, minor, currency) => expect(moneyOf(text)).toEqual({ minor, currency }))

  test.each([
    ['el', 'el'],
    ['el-2', 'el-2'],
    ['x-services', 'x-services'],
    ['Cameras', 'co-2'],
    ['heavy mach', 'bi-11']
  ])('%s is %s', (text, id) => expect(categoryOf(text)).toBe(id))

  test('a word that several have is refused with some of them', () => {
    expect(() => categoryOf('baby')).toThrow(expect.objectContaining({ code: 'usage' }) as Error)
  })
})
