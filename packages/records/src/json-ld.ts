import { didFromKey } from './identity.ts'
import type { ContentOf } from './kinds.ts'
import { currencyDecimals, formatMinor, isIsoCurrency, type WireMoney } from './money.ts'
import type { SoukRecord } from './record.ts'

/** A node of JSON-LD: plain JSON, nothing in it `undefined`. */
export interface JsonLd {
  readonly [name: string]: unknown
}

type Listing = ContentOf<'listing'>

/**
 * A listing as search engines and other markets read it: schema.org's `Offer` or `Demand` in JSON-LD 1.1. Links are
 * `ipfs://` addresses, the author is a `did:key`. Prices in assets on a chain are left out: schema.org has no name
 * for them. The text is as in the record; whoever puts it into a page escapes `<`.
 *
 * @param record - A listing with content.
 * @returns `undefined` for a tombstone.
 */
export function listingToJsonLd(record: SoukRecord<'listing'>): JsonLd | undefined {
  const { content, id, author } = record
  if (content === null) return undefined
  const person = { '@type': 'Person', '@id': didFromKey(author) }
  return compact({
    '@context': ['https://schema.org', { '@language': content.language }],
    '@type': content.type,
    '@id': `ipfs://${id}`,
    ...(content.type === 'Offer' ? { offeredBy: person } : { '@reverse': { seeks: person } }),
    businessFunction: businessFunctions[content.businessFunction],
    itemCondition: content.itemCondition && `https://schema.org/${content.itemCondition}Condition`,
    itemOffered: itemOf(content),
    priceSpecification: content.price && priceOf(content.price, content.unit),
    inventoryLevel: { '@type': 'QuantitativeValue', value: content.quantity, unitCode: content.unit },
    validFrom: new Date(record.createdAtMs).toISOString(),
    validThrough: new Date(record.expiresAtMs).toISOString(),
    availableDeliveryMethod: content.delivery.some(({ kind }) => kind === 'pick-up')
      ? 'https://schema.org/OnSitePickup'
      : undefined,
    shippingDetails: content.delivery.flatMap((way) => shippingOf(way, content.price)),
    availableAtOrFrom: content.place && placeOf(content.place)
  })
}

/** GoodRelations' names, which schema.org takes over; what it has no name for keeps ours. */
const businessFunctions: Record<Listing['businessFunction'], string> = {
  Sell: 'http://purl.org/goodrelations/v1#Sell',
  LeaseOut: 'http://purl.org/goodrelations/v1#LeaseOut',
  ProvideService: 'http://purl.org/goodrelations/v1#ProvideService',
  Lend: 'Lend',
  Give: 'Give',
  Swap: 'Swap'
}

function itemOf(content: Listing): JsonLd {
  return compact({
    '@type': content.businessFunction === 'ProvideService' ? 'Service' : 'Product',
    name: content.title,
    description: content.description,
    category: content.category,
    keywords: content.tags,
    image: content.images.map(({ image, thumbnail, width, height, alt }) =>
      compact({
        '@type': 'ImageObject',
        contentUrl: `ipfs://${image.toString()}`,
        thumbnailUrl: `ipfs://${thumbnail.toString()}`,
        width,
        height,
        caption: alt
      })
    )
  })
}

function priceOf(price: WireMoney, unitCode: string): JsonLd | undefined {
  const amount = amountOf(price)
  if (amount === undefined) return undefined
  return { '@type': 'UnitPriceSpecification', price: amount, priceCurrency: price.currency, unitCode }
}

/** Shipping costs are in the currency of the price. */
function shippingOf(way: Listing['delivery'][number], price: WireMoney | undefined): JsonLd[] {
  if (way.kind !== 'ship') return []
  const amount = price && amountOf({ minor: way.price, currency: price.currency })
  const days = (maxValue: number): JsonLd => ({ '@type': 'QuantitativeValue', maxValue, unitCode: 'DAY' })
  const details = compact({
    '@type': 'OfferShippingDetails',
    shippingRate: amount && { '@type': 'MonetaryAmount', value: amount, currency: price?.currency },
    shippingDestination: way.to.map((addressCountry) => ({ '@type': 'DefinedRegion', addressCountry })),
    deliveryTime: {
      '@type': 'ShippingDeliveryTime',
      handlingTime: days(way.handlingDays),
      transitTime: days(way.transitDays)
    }
  })
  return [details]
}

function placeOf({ country, region, locality }: NonNullable<Listing['place']>): JsonLd {
  const address = {
    '@type': 'PostalAddress',
    addressCountry: country,
    addressRegion: region,
    addressLocality: locality
  }
  return { '@type': 'Place', address: compact(address) }
}

/** `45.00`, or `undefined` for what ISO 4217 does not know. */
function amountOf({ minor, currency }: WireMoney): string | undefined {
  return isIsoCurrency(currency) ? formatMinor(BigInt(minor), currencyDecimals(currency)) : undefined
}

/** Without what is undefined or an empty list. */
function compact(node: JsonLd): JsonLd {
  const isSaid = ([, value]: [string, unknown]): boolean =>
    value !== undefined && !(Array.isArray(value) && value.length === 0)
  return Object.fromEntries(Object.entries(node).filter(isSaid))
}
