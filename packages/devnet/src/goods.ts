import { readFile } from 'node:fs/promises'
import type { RequestOf } from '@souk/api'

type ListingDraft = RequestOf<'POST /v1/listings'>['body']

type Settlement = NonNullable<ListingDraft['settlements']>[number]

/** Something to sell: a draft, and the file of its photograph where there is one. */
export interface Goods {
  readonly draft: ListingDraft
  /** Name below `assets/photos/`. */
  readonly photo: string | undefined
}

/** Fifty things over many categories, eleven of them photographed; see assets/photos/CREDITS.md. */
export async function readGoods(options: { escrow: boolean }): Promise<Goods[]> {
  const text = await readFile(new URL('listings.json', assets), 'utf8')
  const rows = JSON.parse(text) as (ListingDraft & { photo?: string })[]
  return rows.map(({ photo, ...draft }) => ({ draft: { ...draft, settlements: settlementsOf(draft, options) }, photo }))
}

/** The file as the camera wrote it, with place and time in it. */
export async function readPhoto(name: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(new URL(`photos/${name}`, assets)))
}

const assets = new URL('../assets/', import.meta.url)

/** What has a price in euros and is handed over once can go through escrow; the rest is between the two. */
function settlementsOf(draft: ListingDraft, { escrow }: { escrow: boolean }): Settlement[] {
  const { price, type, businessFunction } = draft
  if (price === undefined) return [{ kind: 'none' }]
  const direct: Settlement = { kind: 'direct', methods: ['cash', 'bank transfer'] }
  const isPlainSale = type === 'Offer' && businessFunction === 'Sell' && price.currency === 'EUR'
  return escrow && isPlainSale ? [{ kind: 'escrow' }, direct] : [direct]
}
