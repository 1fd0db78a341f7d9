import { readdir, readFile } from 'node:fs/promises'
import { isCategory } from '@souk/records'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'

const assets = new URL('../assets/', import.meta.url)

interface Photo {
  file: string
  author: string
  licence: string
  source: string
}

interface Listing {
  businessFunction: string
  title: string
  category: string
  place: { country: string; geohash: string }
  photo?: string
}

async function json<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(new URL(path, assets), 'utf8')) as T
}

describe('photographs', () => {
  test('each is credited under a free licence, and none is there without credit', async () => {
    const photos = await json<Photo[]>('photos/photos.json')
    const credits = await readFile(new URL('photos/CREDITS.md', assets), 'utf8')
    const files = (await readdir(new URL('photos/', assets))).filter((file) => file.endsWith('.jpg'))
    expect(photos.map(({ file }) => file).toSorted()).toEqual(files.toSorted())
    for (const { file, author, licence, source } of photos) {
      expect(licence).toMatch(/^(CC0-1\.0|CC-BY-[24]\.0|CC-BY-SA-4\.0)$/)
      for (const said of [file, author, licence, source]) expect(credits).toContain(said)
    }
  })

  test('each is a JPEG with camera data and a place to take out', async () => {
    for (const { file } of await json<Photo[]>('photos/photos.json')) {
      const bytes = await readFile(new URL(`photos/${file}`, assets))
      const { format, exif } = await sharp(bytes).metadata()
      expect(bytes.length).toBeLessThanOrEqual(600_000)
      expect(format).toBe('jpeg')
      // Tag 0x8825, the pointer to the GPS directory, little endian.
      expect(exif?.includes(Buffer.from([0x25, 0x88]))).toBe(true)
    }
  })
})

describe('listings', () => {
  test('there are enough of them, of every kind, in categories that exist, at coarse places', async () => {
    const listings = await json<Listing[]>('listings.json')
    expect(listings.length).toBeGreaterThanOrEqual(36)
    expect(new Set(listings.map(({ title }) => title)).size).toBe(listings.length)
    const functions = new Set(listings.map(({ businessFunction }) => businessFunction))
    expect([...functions].toSorted()).toEqual(['Give', 'LeaseOut', 'ProvideService', 'Sell', 'Swap'])
    expect(listings.filter(({ category }) => !isCategory(category))).toEqual([])
    for (const { place } of listings) {
      expect(place.geohash).toMatch(/^[0-9b-hjkmnp-z]{5}$/)
    }
    expect(new Set(listings.map(({ category }) => category)).size).toBeGreaterThanOrEqual(30)
  })

  test('each photograph is used once, by a listing that shows it', async () => {
    const photos = await json<Photo[]>('photos/photos.json')
    const used = (await json<Listing[]>('listings.json')).flatMap(({ photo }) => (photo === undefined ? [] : [photo]))
    expect(used.toSorted()).toEqual(photos.map(({ file }) => file).toSorted())
  })
})
