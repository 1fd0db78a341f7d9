/** From flags and files to the listing that is sent. */
import { basename, dirname, resolve } from 'node:path'
import type { Client } from '@souk/api/client'
import type { RequestOf } from '@souk/api'
import { categories, isCategoryId } from '@souk/records/categories'
import { parseMoney } from '@souk/records/money'
import { CliError } from './errors.ts'
import { readInput, readJson } from './input.ts'
import { handlingDaysDefault, photoBytesMax, transitDaysDefault } from './limits.ts'

/** A listing as the API takes it. */
export type Draft = RequestOf<'POST /v1/listings'>['body']

/** A draft, and the photographs that are still files. */
export interface DraftWithPhotos {
  readonly draft: Partial<Draft>
  readonly photos: readonly string[]
}

/** Flags of `souk listing create` and `update`. */
export interface DraftFlags {
  readonly from?: string
  readonly title?: string
  readonly description?: string
  readonly category?: string
  readonly price?: string
  readonly photo?: readonly string[]
  readonly ship?: readonly string[]
  readonly handlingDays?: string
  readonly transitDays?: string
  readonly pickUp?: boolean
  readonly digital?: boolean
  readonly onSite?: boolean
  readonly escrow?: string | true
  readonly direct?: string | true
  readonly free?: boolean
  readonly quantity?: string
  readonly unit?: string
  readonly condition?: string
  readonly place?: string
  readonly geohash?: string
  readonly tag?: readonly string[]
  readonly language?: string
  readonly function?: string
  readonly wanted?: boolean
}

/** A token as the node's wallet knows it. */
export interface Token {
  readonly symbol: string
  readonly token: string
  readonly decimals: number
}

/**
 * Puts a draft together: what the file says, and over it what the flags say.
 *
 * @param tokens - Asked only when a price in a token has to be read.
 * @throws {@link CliError} `usage`, `bad-file`.
 */
export async function draftFrom(flags: DraftFlags, tokens: () => Promise<readonly Token[]>): Promise<DraftWithPhotos> {
  const file = flags.from === undefined ? { draft: {}, photos: [] } : await draftFromFile(flags.from)
  const price = flags.price === undefined ? undefined : moneyOf(flags.price)
  const said: Partial<Draft> = {
    title: flags.title,
    description: flags.description === '-' ? new TextDecoder().decode(await readInput('-')) : flags.description,
    category: flags.category === undefined ? undefined : categoryOf(flags.category),
    price,
    quantity: flags.quantity === undefined ? undefined : countOf(flags.quantity, '--quantity'),
    unit: flags.unit,
    itemCondition: flags.condition as Draft['itemCondition'],
    language: flags.language,
    businessFunction: flags.function as Draft['businessFunction'],
    type: flags.wanted === true ? 'Demand' : undefined,
    place: placeOf(flags),
    tags: flags.tag === undefined ? undefined : [...flags.tag],
    delivery: deliveriesOf(flags, price?.currency ?? file.draft.price?.currency),
    settlements: await settlementsOf(flags, tokens)
  }
  return { draft: withoutUndefined({ ...file.draft, ...withoutUndefined(said) }), photos: flags.photo ?? file.photos }
}

/** Reads a file of one draft. Its `photo` and `photos` are paths from where the file lies, or from `photoFolder`. */
async function draftFromFile(path: string): Promise<DraftWithPhotos> {
  return draftOf(await readJson(path), { folder: path === '-' ? '.' : dirname(path), where: path })
}

/** Reads a file of many: an array, or an object that has it as `listings`. */
export async function draftsFromFile(
  path: string,
  options: { readonly photoFolder?: string | undefined } = {}
): Promise<DraftWithPhotos[]> {
  const value = await readJson(path)
  const list = typeof value === 'object' && value !== null && 'listings' in value ? value.listings : value
  if (!Array.isArray(list)) throw new CliError('bad-file', `${path} holds no array of listings`)
  const folder = options.photoFolder ?? (path === '-' ? '.' : dirname(path))
  return list.map((item, index) => draftOf(item, { folder, where: `${path}, number ${index + 1}` }))
}

/** Sends a draft's photographs, then completes it with what they have become. */
export async function uploadPhotos(
  { draft, photos }: DraftWithPhotos,
  client: Pick<Client, 'call'>,
  onAdded: (path: string, image: { hadLocation: boolean; bytes: number }) => void
): Promise<Partial<Draft>> {
  if (photos.length === 0) return draft
  const images = [...(draft.images ?? [])]
  for (const path of photos) {
    const { hadLocation, ...image } = await client.call('POST /v1/images', {
      body: await readInput(path, { bytesMax: photoBytesMax })
    })
    onAdded(basename(path), { hadLocation, bytes: image.bytes })
    images.push(image)
  }
  return { ...draft, images }
}

/** `12.50 EUR` or `EUR 12.50`. */
export function moneyOf(text: string): { minor: string; currency: string } {
  const match = /^(?:(?<amount>[\d.]+)\s*(?<currency>[A-Za-z]{3})|(?<first>[A-Za-z]{3})\s*(?<last>[\d.]+))$/.exec(
    text.trim()
  )
  const { amount, currency, first, last } = match?.groups ?? {}
  if (match === null) throw new CliError('usage', `"${text}" is not a price`, { hint: "write it as '12.50 EUR'" })
  const money = parseMoney(amount ?? last ?? '', (currency ?? first ?? '').toUpperCase())
  return { minor: money.minor.toString(), currency: money.currency }
}

/** An id of the taxonomy, or a name or part of one that only one category has. */
export function categoryOf(text: string): string {
  if (isCategoryId(text)) return text
  const wanted = text.toLowerCase()
  const all = categories.flatMap(({ id, name, children }) => [{ id, name }, ...children])
  const exact = all.filter(({ name }) => name.toLowerCase() === wanted)
  const found = exact.length > 0 ? exact : all.filter(({ name }) => name.toLowerCase().includes(wanted))
  if (found.length === 1 && found[0] !== undefined) return found[0].id
  const some = found.slice(0, 8).map(({ id, name }) => `${id} (${name})`)
  throw new CliError('usage', `"${text}" names ${found.length === 0 ? 'no category' : 'several categories'}`, {
    hint: found.length === 0 ? 'see: souk category list' : `say one of ${some.join(', ')}`
  })
}

/** @throws {@link CliError} `usage` for anything but a whole number from 0 on. */
export function countOf(text: string, flag: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new CliError('usage', `${flag}: "${text}" is not a whole number`)
}

function draftOf(value: unknown, { folder, where }: { folder: string; where: string }): DraftWithPhotos {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CliError('bad-file', `${where}: a listing is an object`)
  }
  const { photo, photos, ...draft } = value as Record<string, unknown>
  const paths = [photo, photos ?? []].flat().filter((path) => path !== undefined)
  const wrong = paths.find((path) => typeof path !== 'string')
  if (wrong !== undefined) throw new CliError('bad-file', `${where}: a photo is the path of a file`)
  return { draft, photos: (paths as string[]).map((path) => resolve(folder, path)) }
}

/** `DE,FR:4.90` ships to the two for 4.90; `world:9.90` everywhere; without a price it is free. */
function deliveriesOf(flags: DraftFlags, currency: string | undefined): Draft['delivery'] {
  const days = {
    handlingDays:
      flags.handlingDays === undefined ? handlingDaysDefault : countOf(flags.handlingDays, '--handling-days'),
    transitDays: flags.transitDays === undefined ? transitDaysDefault : countOf(flags.transitDays, '--transit-days')
  }
  const others = (
    [
      ['pickUp', 'pick-up'],
      ['digital', 'digital'],
      ['onSite', 'on-site']
    ] as const
  )
    .filter(([flag]) => flags[flag] === true)
    .map(([, kind]) => ({ kind }))
  const deliveries = [...(flags.ship ?? []).map((text) => ({ ...shipOf(text, currency), ...days })), ...others]
  return deliveries.length === 0 ? undefined : deliveries
}

function shipOf(text: string, currency: string | undefined): { kind: 'ship'; price: string; to: string[] } {
  const [countries = '', amount = '0'] = text.split(':', 2)
  const to = /^(world|everywhere)$/i.test(countries) ? [] : countries.toUpperCase().split(/[,\s]+/)
  const wrong = to.find((country) => !/^[A-Z]{2}$/.test(country))
  if (wrong !== undefined) {
    throw new CliError('usage', `--ship: "${wrong}" is not a country`, { hint: "write 'DE,FR:4.90' or 'world:9.90'" })
  }
  if (amount === '0') return { kind: 'ship', price: '0', to }
  if (currency === undefined) throw new CliError('usage', '--ship: a price of delivery needs --price beside it')
  return { kind: 'ship', price: parseMoney(amount, currency).minor.toString(), to }
}

/** `--escrow`, `--escrow USDC`, or with what one unit costs in it: `--escrow ETH:0.005`. */
async function settlementsOf(
  { escrow, direct, free }: DraftFlags,
  tokens: () => Promise<readonly Token[]>
): Promise<Draft['settlements']> {
  const settlements = [
    ...(escrow === undefined ? [] : [await escrowOf(escrow, tokens)]),
    ...(direct === undefined ? [] : [directOf(direct)]),
    ...(free === true ? [{ kind: 'none' as const }] : [])
  ]
  return settlements.length === 0 ? undefined : settlements
}

async function escrowOf(escrow: string | true, tokens: () => Promise<readonly Token[]>) {
  if (escrow === true) return { kind: 'escrow' as const }
  const [name = '', amount] = escrow.split(':', 2)
  if (amount === undefined) return { kind: 'escrow' as const, token: name }
  const known = await tokens()
  const wanted = name.toLowerCase()
  const token = known.find(({ symbol, token }) => symbol.toLowerCase() === wanted || token === wanted)
  if (token === undefined) {
    const symbols = known.map(({ symbol }) => symbol).join(', ')
    throw new CliError('usage', `--escrow: this node has no token ${name}`, { hint: `it has: ${symbols || 'none'}` })
  }
  // The decimals are the token's own; the currency is named only because an amount has one.
  const { minor } = parseMoney(amount, 'XXX', { decimals: token.decimals })
  return { kind: 'escrow' as const, token: token.token, price: minor.toString() }
}

function directOf(direct: string | true) {
  if (direct === true) return { kind: 'direct' as const }
  return { kind: 'direct' as const, methods: direct.split(',').map((method) => method.trim()) }
}

/** `DE`, `DE,Berlin`, or `DE,Bavaria,Munich`. */
function placeOf({ place, geohash }: DraftFlags): Draft['place'] {
  if (place === undefined && geohash === undefined) return undefined
  const parts = (place ?? '').split(',').map((part) => part.trim())
  const [country = '', ...rest] = parts
  if (!/^[A-Za-z]{2}$/.test(country) || rest.length > 2) {
    throw new CliError('usage', `--place: "${place ?? ''}" is not a place`, { hint: "write 'DE,Berlin'" })
  }
  const locality = rest.at(-1)
  const region = rest.length === 2 ? rest[0] : undefined
  return withoutUndefined({ country: country.toUpperCase(), region, locality, geohash })
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T
}
