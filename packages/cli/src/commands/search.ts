import type { ListingView } from '@souk/node'
import type { RequestOf } from '@souk/api'
import type { Command } from 'commander'
import { categoryOf, countOf, moneyOf } from '../draft.ts'
import { CliError } from '../errors.ts'
import type { Begin, Invocation } from '../invocation.ts'
import { listingColumns } from '../views.ts'

type Query = NonNullable<RequestOf<'GET /v1/search'>['query']>

interface SearchFlags {
  readonly category?: string
  readonly seller?: string
  readonly country?: string
  readonly condition?: string
  readonly function?: string
  readonly minPrice?: string
  readonly maxPrice?: string
  readonly near?: string
  readonly sort?: string
  readonly limit: string
  readonly offset?: string
}

export function addSearch(command: Command, begin: Begin): void {
  command
    .argument('[words...]', 'words to find')
    .option('--category <id>', 'id or name')
    .option('--seller <did>', "only one person's")
    .option('--country <code>', 'as DE')
    .option('--condition <condition>', 'New, Used, Refurbished or Damaged')
    .option('--function <function>', 'Sell, LeaseOut, ProvideService, Lend, Give or Swap')
    .option('--min-price <amount>', "as '5 EUR'")
    .option('--max-price <amount>', "as '50 EUR'")
    .option('--near <lat,lon,km>', "as '52.52,13.4,25'")
    .option('--sort <order>', 'best, newest, cheapest or nearest')
    .option('--limit <n>', 'at most so many', '50')
    .option('--offset <n>', 'after so many')
    .action(begin(search))
}

async function search(run: Invocation, words: readonly string[], flags: SearchFlags): Promise<void> {
  const client = await run.client()
  const page = await client.call('GET /v1/search', { query: queryOf(words, flags) })
  await run.out.list<ListingView>(page.hits, { columns: listingColumns, route: 'GET /v1/search' }, { whole: page })
  if (page.total === 0) run.out.note(emptyNote(await client.call('GET /v1/status')))
  else if (page.total > page.hits.length) run.out.note(`${page.hits.length} of ${page.total}`)
}

function queryOf(words: readonly string[], flags: SearchFlags): Query {
  const price = priceOf(flags)
  const text = words.join(' ')
  return {
    text: text === '' ? undefined : text,
    category: flags.category === undefined ? undefined : categoryOf(flags.category),
    seller: flags.seller as Query['seller'],
    country: flags.country?.toUpperCase(),
    condition: flags.condition as Query['condition'],
    businessFunction: flags.function as Query['businessFunction'],
    ...price,
    ...nearOf(flags.near),
    sort: flags.sort as Query['sort'],
    limit: countOf(flags.limit, '--limit'),
    offset: flags.offset === undefined ? undefined : countOf(flags.offset, '--offset')
  }
}

function priceOf({ minPrice, maxPrice }: SearchFlags): Pick<Query, 'currency' | 'min' | 'max'> {
  const min = minPrice === undefined ? undefined : moneyOf(minPrice)
  const max = maxPrice === undefined ? undefined : moneyOf(maxPrice)
  if (min !== undefined && max !== undefined && min.currency !== max.currency) {
    throw new CliError('usage', '--min-price and --max-price are of different currencies')
  }
  return { currency: min?.currency ?? max?.currency, min: min?.minor, max: max?.minor }
}

function nearOf(near: string | undefined): Pick<Query, 'lat' | 'lon' | 'km'> {
  if (near === undefined) return {}
  const [lat, lon, km = 50] = near.split(',').map(Number)
  if (lat === undefined || lon === undefined || ![lat, lon, km].every(Number.isFinite)) {
    throw new CliError('usage', `--near: "${near}" is not a place`, { hint: "write '52.52,13.4,25'" })
  }
  return { lat, lon, km }
}

/** "Nothing here" is not "still catching up". */
function emptyNote({ sync, peers, listings }: { sync: string; peers: number; listings: number }): string {
  if (sync === 'alone') return 'Nothing found, and nobody is connected: souk peer connect ADDRESS'
  if (sync === 'catching-up') return `Nothing found yet: still catching up with ${peers} peers`
  return `Nothing found among ${listings} listings`
}
