import { type ContentOf, type JsonLd, listingToJsonLd, sealRecord } from '@souk/records'
import { expect, test } from 'vitest'
import { createPeople, dayMs, linkTo, listing, nowMs } from './generators/parts.ts'

const { seller } = createPeople()
const exported = (content: ContentOf<'listing'> | null): JsonLd | undefined =>
  listingToJsonLd(
    sealRecord(
      {
        kind: 'listing',
        market: 'main',
        key: 'co.4f7c09a1',
        seq: 1,
        createdAtMs: nowMs,
        expiresAtMs: nowMs + dayMs,
        content
      },
      seller.signer
    )
  )

test('an offer in schema.org’s words', () => {
  const { '@id': id, ...offer } = exported(listing) ?? {}
  expect(id).toMatch(/^ipfs:\/\/bafyrei/)
  expect(offer).toEqual({
    '@context': ['https://schema.org', { '@language': 'en' }],
    '@type': 'Offer',
    offeredBy: { '@type': 'Person', '@id': seller.did },
    businessFunction: 'http://purl.org/goodrelations/v1#Sell',
    itemCondition: 'https://schema.org/UsedCondition',
    itemOffered: {
      '@type': 'Product',
      name: listing.title,
      description: listing.description,
      category: 'co-1',
      keywords: ['lens', 'olympus-om'],
      image: [
        {
          '@type': 'ImageObject',
          contentUrl: `ipfs://${linkTo('image').toString()}`,
          thumbnailUrl: `ipfs://${linkTo('thumbnail').toString()}`,
          width: 1600,
          height: 1200,
          caption: 'The lens on a table'
        }
      ]
    },
    priceSpecification: { '@type': 'UnitPriceSpecification', price: '45.00', priceCurrency: 'EUR', unitCode: 'C62' },
    inventoryLevel: { '@type': 'QuantitativeValue', value: 1, unitCode: 'C62' },
    validFrom: '2027-01-15T08:00:00.000Z',
    validThrough: '2027-01-16T08:00:00.000Z',
    availableDeliveryMethod: 'https://schema.org/OnSitePickup',
    shippingDetails: [
      {
        '@type': 'OfferShippingDetails',
        shippingRate: { '@type': 'MonetaryAmount', value: '4.90', currency: 'EUR' },
        shippingDestination: [
          { '@type': 'DefinedRegion', addressCountry: 'DE' },
          { '@type': 'DefinedRegion', addressCountry: 'FR' }
        ],
        deliveryTime: {
          '@type': 'ShippingDeliveryTime',
          handlingTime: { '@type': 'QuantitativeValue', maxValue: 2, unitCode: 'DAY' },
          transitTime: { '@type': 'QuantitativeValue', maxValue: 4, unitCode: 'DAY' }
        }
      }
    ],
    availableAtOrFrom: {
      '@type': 'Place',
      address: { '@type': 'PostalAddress', addressCountry: 'DE', addressLocality: 'Köln' }
    }
  })
})

test('a demand is what a person seeks', () => {
  const demand = exported({ ...listing, type: 'Demand' })
  expect(demand).toMatchObject({ '@type': 'Demand', '@reverse': { seeks: { '@id': seller.did } } })
  expect(demand).not.toHaveProperty('offeredBy')
})

test('a service in wei names no price, and says nothing empty', () => {
  const { itemCondition: _, place: __, ...rest } = listing
  const bare = exported({
    ...rest,
    businessFunction: 'ProvideService',
    price: { minor: '1', currency: 'eip155:1/slip44:60' },
    images: [],
    delivery: [{ kind: 'ship', price: '1', to: [], handlingDays: 1, transitDays: 1 }],
    tags: []
  })
  const names = ['priceSpecification', 'itemCondition', 'availableAtOrFrom', 'availableDeliveryMethod']
  for (const name of names) expect(bare).not.toHaveProperty(name)
  expect(bare?.['itemOffered']).toEqual({
    '@type': 'Service',
    name: listing.title,
    description: listing.description,
    category: 'co-1'
  })
  expect(JSON.parse(JSON.stringify(bare))).toEqual(bare)
})

test('a tombstone has nothing to say', () => {
  expect(exported(null)).toBeUndefined()
})
