import { type RecordId, topCategory } from '@souk/records'
import { StorageError } from '../errors.ts'
import { countedMax, hitsMax, queryCharsMax } from './limits.ts'

/** What a person looks for. All conditions hold at once. */
export interface SearchQuery {
  /** Words; the last may be unfinished. */
  readonly text?: string
  readonly market?: string
  readonly type?: 'Offer' | 'Demand'
  /** Of either level. */
  readonly category?: string
  /** ISO 3166-1 alpha-2. */
  readonly country?: string
  /** Degrees and kilometres around. Listings say where they are to about five kilometres. */
  readonly near?: { readonly lat: number; readonly lon: number; readonly km: number }
  readonly currency?: string
  /** Minor units, both ends included; only together with `currency`. */
  readonly priceMin?: bigint
  readonly priceMax?: bigint
  readonly businessFunction?: string
  readonly condition?: string
  /** 32-byte public key. */
  readonly author?: Uint8Array
  /** `relevance` where there is text, else `newest`. By price only together with `currency`. */
  readonly sort?: 'relevance' | 'newest' | 'price-ascending' | 'price-descending' | 'distance'
  /** At most 200; 20 when left out. */
  readonly limit?: number
  /** At most 10,000. */
  readonly offset?: number
}

export interface SearchHit {
  readonly id: RecordId
  /** Higher is better; 0 where hits are not ranked by their text. */
  readonly score: number
  readonly title: string
  /** Present with `near`. */
  readonly km?: number
}

export interface SearchResult {
  readonly hits: readonly SearchHit[]
  /** Matches; counted up to 10,000. */
  readonly total: number
  /** Everything up to this number of the change log was searched. */
  readonly indexedSequence: number
  /** What unknown words were taken for: `{ lapmtop: ['laptop'] }`. */
  readonly corrections: Readonly<Record<string, readonly string[]>>
}

/** A query as it goes to an index: plain, checked, complete. */
export interface IndexQuery extends Omit<
  SearchQuery,
  'author' | 'category' | 'priceMin' | 'priceMax' | 'sort' | 'limit' | 'offset'
> {
  /** Of the lower level. */
  readonly category?: string
  readonly topCategory?: string
  /** Hexadecimal. */
  readonly author?: string
  /** As {@link sortablePrice} writes it. */
  readonly priceMin?: string
  readonly priceMax?: string
  readonly sort: NonNullable<SearchQuery['sort']>
  readonly limit: number
  readonly offset: number
  readonly nowMs: number
}

/** What is indexed of a listing. */
export interface SearchDocument {
  /** 32 bytes. */
  readonly digest: Uint8Array
  readonly market: string
  readonly author: string
  readonly type: string
  readonly category: string
  readonly topCategory: string
  readonly country: string | null
  readonly currency: string | null
  readonly price: string | null
  readonly businessFunction: string
  readonly condition: string | null
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly title: string
  /** Everything else that is text. */
  readonly body: string
  readonly lat: number | null
  readonly lon: number | null
}

/** Digits of 2^128: decimal digits of this width sort as the numbers do, exactly. */
const priceDigits = 39

export function sortablePrice(minor: bigint | string): string {
  return minor.toString().padStart(priceDigits, '0')
}

/** @throws {@link StorageError} `bad-argument` for a query that means nothing. */
export function toIndexQuery(query: SearchQuery, nowMs: number): IndexQuery {
  const { author, category, priceMin, priceMax, text, ...rest } = query
  const hasText = text !== undefined && text.trim() !== ''
  const hasPrice = priceMin !== undefined || priceMax !== undefined || query.sort?.startsWith('price') === true
  if (hasPrice && query.currency === undefined) {
    throw new StorageError('bad-argument', 'a price means nothing without its currency: name one')
  }
  if (query.sort === 'distance' && query.near === undefined) {
    throw new StorageError('bad-argument', 'there is no distance without a place: give `near`')
  }
  checkPlace(query.near)
  return {
    ...rest,
    ...(hasText ? { text: text.slice(0, queryCharsMax) } : {}),
    ...(category === undefined ? {} : categoryOf(category)),
    ...(author === undefined ? {} : { author: Buffer.from(author).toString('hex') }),
    ...(priceMin === undefined ? {} : { priceMin: sortablePrice(priceMin) }),
    ...(priceMax === undefined ? {} : { priceMax: sortablePrice(priceMax) }),
    sort: query.sort ?? (hasText ? 'relevance' : 'newest'),
    limit: within(query.limit ?? 20, hitsMax),
    offset: within(query.offset ?? 0, countedMax),
    nowMs
  }
}

function categoryOf(category: string): { category: string } | { topCategory: string } {
  return topCategory(category) === category ? { topCategory: category } : { category }
}

function checkPlace(near: SearchQuery['near']): void {
  if (near === undefined) return
  const { lat, lon, km } = near
  if (Math.abs(lat) <= 90 && Math.abs(lon) <= 180 && km > 0 && km <= 20_040) return
  throw new StorageError('bad-argument', `${lat}, ${lon} within ${km} km is no place: degrees, and up to 20,040 km`)
}

function within(value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value
  throw new StorageError('bad-argument', `${value} is not a whole number from 0 to ${max}`)
}
