import { type AnyRecord, topCategory } from '@souk/records'
import type { StoredRecord } from '../entry.ts'
import { pointOfGeohash } from './place.ts'
import { type SearchDocument, sortablePrice } from './query.ts'

/**
 * What is indexed of a record; undefined for anything but a live listing. One that an earlier version of this software
 * found well-formed and this one cannot read is left out: it must not keep the others from being found.
 */
export function documentOf(stored: Pick<StoredRecord, 'record' | 'digest'>): SearchDocument | undefined {
  try {
    return listingDocument(stored)
  } catch {
    return undefined
  }
}

function listingDocument({ record, digest }: Pick<StoredRecord, 'record' | 'digest'>): SearchDocument | undefined {
  if (record.kind !== 'listing' || record.content === null) return undefined
  const { content } = record
  const { place, price } = content
  const point = place?.geohash === undefined ? undefined : pointOfGeohash(place.geohash)
  return {
    digest,
    market: record.market,
    author: Buffer.from(record.author).toString('hex'),
    type: content.type,
    category: content.category,
    topCategory: topCategory(content.category),
    country: place?.country ?? null,
    currency: price?.currency ?? null,
    price: price === undefined ? null : sortablePrice(price.minor),
    businessFunction: content.businessFunction,
    condition: content.itemCondition ?? null,
    createdAtMs: record.createdAtMs,
    expiresAtMs: record.expiresAtMs,
    title: content.title,
    body: bodyOf(record),
    lat: point?.lat ?? null,
    lon: point?.lon ?? null
  }
}

function bodyOf({ content }: Extract<AnyRecord, { kind: 'listing' }>): string {
  if (content === null) return ''
  const { description, tags, place } = content
  return [description, ...tags, place?.locality ?? '', place?.region ?? ''].join('\n')
}
