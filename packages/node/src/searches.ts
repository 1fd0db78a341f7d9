import { keyFromDid, type SoukRecord } from '@souk/records'
import type { RecordStore, Search } from '@souk/storage'
import { pageDefault } from './limits.ts'
import { listingView } from './listing.ts'
import type { SearchPage, SearchQuery } from './node.ts'

/** The most that the index returns at once. */
const hitsMax = 200

const sorts = { best: 'relevance', newest: 'newest', cheapest: 'price-ascending', nearest: 'distance' } as const

/** Looks in what this node holds. What left the store since it was indexed is left out. */
export function createSearches(components: { search: Pick<Search, 'query'>; records: Pick<RecordStore, 'get'> }) {
  return async (query: SearchQuery): Promise<SearchPage> => {
    const { seller, condition, price, sort, limit, ...rest } = query
    const { hits, total } = await components.search.query({
      ...rest,
      ...(seller === undefined ? {} : { author: keyFromDid(seller) }),
      ...(condition === undefined ? {} : { condition }),
      ...(sort === undefined ? {} : { sort: sorts[sort] }),
      ...priceOf(price),
      limit: Math.min(limit ?? pageDefault, hitsMax)
    })
    const records = await Promise.all(hits.map(({ id }) => components.records.get(id)))
    const standing = records.filter((record) => record?.kind === 'listing' && record.content !== null)
    return { hits: standing.map((record) => listingView(record as SoukRecord<'listing'>)), total }
  }
}

function priceOf(price: SearchQuery['price']): { currency?: string; priceMin?: bigint; priceMax?: bigint } {
  if (price === undefined) return {}
  const { currency, minMinor, maxMinor } = price
  return {
    currency,
    ...(minMinor === undefined ? {} : { priceMin: BigInt(minMinor) }),
    ...(maxMinor === undefined ? {} : { priceMax: BigInt(maxMinor) })
  }
}
