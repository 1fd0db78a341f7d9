import {
  isRecordId,
  type JsonLd,
  keyFromDid,
  listingToJsonLd,
  sameBytes,
  type SoukRecord,
  topCategory
} from '@souk/records'
import type { RecordStore } from '@souk/storage'
import { NodeError } from './errors.ts'
import { listingLifeMs, pageDefault, pageMax } from './limits.ts'
import {
  createListingKey,
  type DraftContext,
  draftToContent,
  type ListingDraft,
  listingView,
  viewToDraft
} from './listing.ts'
import type { Listings } from './node.ts'
import type { Publisher } from './publisher.ts'

export interface ListingsComponents {
  readonly records: Pick<RecordStore, 'get' | 'head' | 'list'>
  readonly publisher: Publisher
  /** Keeps a listing's pictures for as long as it stands. */
  readonly pictures: {
    hold(listing: SoukRecord<'listing'>): Promise<void>
    release(key: string): Promise<void>
  }
  /** 32-byte public key of this identity. */
  readonly author: Uint8Array
  readonly random: (length: number) => Uint8Array
}

/** Listings, and the keeping alive of one's own. */
export interface ListingDesk extends Listings {
  /** The record behind a listing. @throws {@link NodeError} `not-found`. */
  recordOf(idOrKey: string): Promise<SoukRecord<'listing'>>
  /** Publishes again what ends before `endsBeforeMs`. @returns how many. */
  renew(options: { endsBeforeMs: number }): Promise<number>
}

export function createListings(components: ListingsComponents, context: DraftContext): ListingDesk {
  const { records, publisher, pictures, author } = components

  const own = async (key: string): Promise<SoukRecord<'listing'>> => {
    const head = (await records.head({ author, kind: 'listing', key })) as SoukRecord<'listing'> | undefined
    if (head === undefined || head.content === null)
      throw new NodeError('not-found', `you have no listing ${key.slice(0, 100)}`)
    return head
  }

  const recordOf = async (idOrKey: string): Promise<SoukRecord<'listing'>> => {
    if (!isRecordId(idOrKey)) return own(idOrKey)
    const record = await records.get(idOrKey)
    if (record?.kind !== 'listing' || record.content === null) {
      throw new NodeError(
        'not-found',
        `no listing ${idOrKey.slice(0, 100)} is here; it may have changed, ended, or not come yet`
      )
    }
    return record
  }

  const publish = async (key: string, draft: ListingDraft): Promise<SoukRecord<'listing'>> => {
    const content = draftToContent(draft, context)
    const record = await publisher.publish({ kind: 'listing', key, lifeMs: listingLifeMs }, content)
    await pictures.hold(record)
    return record
  }

  return {
    recordOf,
    publish: async (draft) =>
      listingView(await publish(createListingKey(draft.category, components.random(10)), draft)),
    async update(key, change) {
      const standing = await ownByIdOrKey(key)
      const draft = { ...viewToDraft(listingView(standing)), ...change }
      if (topCategory(draft.category) !== topCategory(standing.content?.category ?? '')) {
        throw new NodeError('bad-draft', 'a listing stays in its top category; make a new one to move it')
      }
      return listingView(await publish(standing.key, draft))
    },
    async delete(key) {
      const standing = await ownByIdOrKey(key)
      await publisher.remove(standing)
      await pictures.release(standing.key)
    },
    get: async (idOrKey) => listingView(await recordOf(idOrKey)),
    // What `recordOf` finds has content, and only a tombstone has no JSON-LD.
    jsonLd: async (idOrKey) => listingToJsonLd(await recordOf(idOrKey)) as JsonLd,
    bytes: async (idOrKey) => new Uint8Array((await recordOf(idOrKey)).bytes),
    async list(filter = {}) {
      const after = filter.after === undefined ? undefined : await recordOf(filter.after)
      const page = await records.list({
        kind: 'listing',
        ...(filter.seller === undefined ? {} : { author: keyFromDid(filter.seller) }),
        ...(filter.category === undefined ? {} : { category: filter.category }),
        ...(after === undefined ? {} : { after }),
        limit: Math.min(filter.limit ?? pageDefault, pageMax)
      })
      return page.map(listingView)
    },
    async renew({ endsBeforeMs }) {
      const ending = (await records.list({ kind: 'listing', author, limit: pageMax })).filter(
        (record) => record.expiresAtMs < endsBeforeMs
      )
      for (const record of ending) await publish(record.key, viewToDraft(listingView(record)))
      return ending.length
    }
  }

  async function ownByIdOrKey(idOrKey: string): Promise<SoukRecord<'listing'>> {
    const record = await recordOf(idOrKey)
    if (!sameBytes(record.author, author)) throw new NodeError('not-yours', 'only its seller can change a listing')
    return own(record.key)
  }
}
