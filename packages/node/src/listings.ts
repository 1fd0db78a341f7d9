import { setImmediate } from 'node:timers/promises'
import {
  isRecordId,
  type JsonLd,
  keyFromDid,
  listingToJsonLd,
  type RecordId,
  reopenRecord,
  sameBytes,
  type SoukRecord,
  topCategory
} from '@souk/records'
import type { RecordStore, StorageOp, Sublevel } from '@souk/storage'
import { NodeError } from './errors.ts'
import { bulkLotsAhead, bulkSealedAtOnce, listingLifeMs, pageDefault, pageMax, revisionKeptMs } from './limits.ts'
import {
  createListingKey,
  type DraftContext,
  draftToContent,
  type ListingDraft,
  type ListingView,
  listingView,
  viewToDraft
} from './listing.ts'
import type { ImportResult, Listings } from './node.ts'
import type { Publisher } from './publisher.ts'
import { createTurns } from './turns.ts'

export interface ListingsComponents {
  readonly records: Pick<RecordStore, 'get' | 'head' | 'list'>
  readonly publisher: Publisher
  /** Earlier revisions of one's own listings, by id. */
  readonly revisions: Sublevel<Uint8Array>
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
  /** The record of exactly this id, also when it is one's own that has changed since: somebody may have bought that. */
  revision(id: RecordId): Promise<SoukRecord<'listing'> | undefined>
  /**
   * Takes so many out of one's own stock; nothing when the listing is gone.
   *
   * @param extraOps - Written in the same batch as the new revision.
   * @returns Whether there was a listing to take from.
   */
  take(key: string, options: { quantity: number; extraOps: readonly StorageOp[] }): Promise<boolean>
  /**
   * Publishes again what ends before `endsBeforeMs`, and what a wrong clock made in the future; forgets what nobody can
   * buy any more.
   *
   * @returns How many were published.
   */
  renew(options: { endsBeforeMs: number; nowMs: number }): Promise<number>
}

export function createListings(components: ListingsComponents, context: DraftContext): ListingDesk {
  const { records, publisher, pictures, author, revisions } = components
  // Each change of a listing starts from the one before: of two at once, one would be lost.
  const inTurn = createTurns()

  const standing = async (key: string): Promise<SoukRecord<'listing'> | undefined> => {
    const head = (await records.head({ author, kind: 'listing', key })) as SoukRecord<'listing'> | undefined
    return head === undefined || head.content === null ? undefined : head
  }

  const own = async (key: string): Promise<SoukRecord<'listing'>> => {
    const head = await standing(key)
    if (head === undefined) throw new NodeError('not-found', `you have no listing ${key.slice(0, 100)}`)
    return head
  }

  /** Requests for what was offered until now are still on their way. */
  const keep = ({ id, bytes }: SoukRecord<'listing'>): StorageOp => {
    return { type: 'put', sublevel: revisions, key: id, value: bytes }
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

  const publish = async (
    key: string,
    draft: ListingDraft,
    extraOps: readonly StorageOp[] = []
  ): Promise<SoukRecord<'listing'>> => {
    const content = draftToContent(draft, context)
    const record = await publisher.publish({ kind: 'listing', key, lifeMs: listingLifeMs }, content, extraOps)
    // A new listing without pictures has none to keep and none to let go of: a bulk need not wait for the shelf.
    if (record.seq > 0 || content.images.length > 0) await pictures.hold(record)
    return record
  }

  const publishNew = async (draft: ListingDraft): Promise<ListingView> =>
    listingView(await publish(createListingKey(draft.category, components.random(10)), draft))

  const forgetOld = async (nowMs: number): Promise<void> => {
    for await (const [id, bytes] of revisions.iterator()) {
      if (reopenRecord(bytes).expiresAtMs + revisionKeptMs < nowMs) await revisions.del(id)
    }
  }

  return {
    recordOf,
    async revision(id) {
      const held = await records.get(id)
      if (held !== undefined) return held.kind === 'listing' ? held : undefined
      const kept = await revisions.get(id)
      return kept === undefined ? undefined : (reopenRecord(kept) as SoukRecord<'listing'>)
    },
    take: (key, { quantity, extraOps }) =>
      inTurn(key, async () => {
        const head = await standing(key)
        if (head === undefined) return false
        const view = listingView(head)
        const left = { ...viewToDraft(view), quantity: Math.max(0, view.quantity - quantity) }
        await publish(key, left, [keep(head), ...extraOps])
        return true
      }),
    publish: publishNew,
    async publishMany(drafts, { signal } = {}) {
      const lots: Promise<ImportResult[]>[] = []
      for (let at = 0; at < drafts.length; at += bulkSealedAtOnce) {
        await lots.at(-bulkLotsAhead)
        await setImmediate(undefined, { signal })
        const lot = drafts.slice(at, at + bulkSealedAtOnce).map((draft) => orRefused(publishNew(draft)))
        lots.push(Promise.all(lot))
        lots.at(-1)?.catch(() => undefined)
      }
      return (await Promise.all(lots)).flat()
    },
    async update(idOrKey, change) {
      const { key } = await ownByIdOrKey(idOrKey)
      return inTurn(key, async () => {
        const head = await own(key)
        const draft = { ...viewToDraft(listingView(head)), ...change }
        if (topCategory(draft.category) !== topCategory(head.content?.category ?? '')) {
          throw new NodeError('bad-draft', 'a listing stays in its top category; make a new one to move it')
        }
        return listingView(await publish(key, draft, [keep(head)]))
      })
    },
    async delete(idOrKey) {
      const { key } = await ownByIdOrKey(idOrKey)
      await inTurn(key, async () => {
        const head = await own(key)
        await publisher.remove(head, [keep(head)])
        await pictures.release(key)
      })
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
    async renew({ endsBeforeMs, nowMs }) {
      await forgetOld(nowMs)
      const ending = (await records.list({ kind: 'listing', author, limit: pageMax })).filter(
        ({ expiresAtMs, createdAtMs }) => expiresAtMs < endsBeforeMs || createdAtMs > nowMs
      )
      for (const { key } of ending) {
        await inTurn(key, async () => {
          const head = await standing(key)
          if (head !== undefined) await publish(key, viewToDraft(listingView(head)), [keep(head)])
        })
      }
      return ending.length
    }
  }

  async function ownByIdOrKey(idOrKey: string): Promise<SoukRecord<'listing'>> {
    const record = await recordOf(idOrKey)
    if (!sameBytes(record.author, author)) throw new NodeError('not-yours', 'only its seller can change a listing')
    return own(record.key)
  }
}

/** Faults have codes, and are one listing's own; what has none is a bug, and everybody's. */
async function orRefused(publishing: Promise<ListingView>): Promise<ImportResult> {
  try {
    return { listing: await publishing }
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string }
    if (typeof code !== 'string') throw error
    return { refused: { code, message } }
  }
}
