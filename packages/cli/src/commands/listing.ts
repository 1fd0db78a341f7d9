import type { ListingView } from '@souk/node'
import type { Command } from 'commander'
import { categoryOf, countOf, type Draft, type DraftFlags, draftFrom, draftsFromFile, uploadPhotos } from '../draft.ts'
import { CliError, showError } from '../errors.ts'
import type { Begin, Invocation } from '../invocation.ts'
import { importedAtOnce } from '../limits.ts'
import type { Shape } from '../output.ts'
import { printable } from '../text.ts'
import { listingColumns, listingDetails } from '../views.ts'

const details: Shape<ListingView> = { columns: listingDetails, route: 'GET /v1/listings/:id' }
const list: Shape<ListingView> = { columns: listingColumns, route: 'GET /v1/listings' }

export function addListing(listing: Command, begin: Begin): void {
  draftOptions(listing.command('create').description('publish something'))
    .option('--dry-run', 'show what would be published')
    .addHelpText('after', createExample)
    .action(begin(create))
  draftOptions(listing.command('update').description('change some of your own').argument('<id>', 'id or key')).action(
    begin(async (run, id: string, flags: DraftFlags) => {
      const client = await run.client()
      const draft = await draftFrom(flags, () => tokensOf(run))
      const body = await uploadPhotos(draft, client, photoNote(run))
      if (Object.keys(body).length === 0) throw new CliError('usage', 'nothing to change was named')
      await run.out.show(await client.call('PATCH /v1/listings/:id', { params: { id }, body }), details)
    })
  )
  listing
    .command('list')
    .description('what this node holds, newest first')
    .option('--mine', 'only your own')
    .option('--seller <did>', "only one person's")
    .option('--category <id>', 'only of a category, by id or name')
    .option('--limit <n>', 'at most so many', '50')
    .option('--after <id>', 'the page after this id')
    .action(begin(listAll))
  listing
    .command('show')
    .description('all of one')
    .argument('<id>', 'id, or key of your own')
    .action(
      begin(async (run, id: string) => {
        const client = await run.client()
        await run.out.show(await client.call('GET /v1/listings/:id', { params: { id } }), details)
      })
    )
  listing
    .command('delete')
    .description('take your own off the market')
    .argument('<id...>', 'ids or keys')
    .action(begin(deleteAll))
  listing
    .command('import')
    .description('publish many')
    .argument('<file>', 'JSON array of listings, their photos as paths; - is standard input')
    .option('--photos <folder>', 'where photo paths start, if not beside the file')
    .option('--dry-run', 'check them, publish nothing')
    .action(begin(importAll))
}

/** The flags that describe a thing; of `create` and `update` alike. */
function draftOptions(command: Command): Command {
  return command
    .option('--from <file>', 'start from JSON, as listing show --json prints it; - is standard input')
    .option('--title <text>', 'one line')
    .option('--description <text>', 'as long as it takes; - is standard input')
    .option('--category <id>', 'id or name, see: souk category list')
    .option('--price <amount>', "of one, as '12.50 EUR'")
    .option('--photo <file...>', 'photographs; where and with what they were taken is removed')
    .option('--ship <to:price...>', "'DE,FR:4.90', or 'world:9.90'; may be repeated")
    .option('--handling-days <n>', 'until it is handed over')
    .option('--transit-days <n>', 'until it arrives')
    .option('--pick-up', 'the buyer comes and takes it')
    .option('--digital', 'it is sent as a file')
    .option('--on-site', "it is done at the buyer's")
    .option('--escrow [token]', "paid through escrow; 'ETH:0.005' says what one costs in a token")
    .option('--direct [methods]', "paid between the two of you, as 'cash,bank'")
    .option('--free', 'nothing is to pay')
    .option('--quantity <n>', 'how many there are')
    .option('--unit <code>', 'UN/CEFACT: C62 piece, HUR hour, KGM kilogram')
    .option('--condition <condition>', 'New, Used, Refurbished or Damaged')
    .option('--place <place>', "coarse: 'DE,Berlin'")
    .option('--geohash <geohash>', 'at most five characters, for search by distance')
    .option('--tag <tag...>', 'words that it is found by')
    .option('--language <tag>', 'of title and description, as en or de-AT')
    .option('--function <function>', 'Sell, LeaseOut, ProvideService, Lend, Give or Swap')
    .option('--wanted', 'you look for it')
}

const createExample = `
Example:
  souk listing create --title 'Enamel pot, 5 l' --category hg --price '12.50 EUR' \\
    --photo pot.jpg --ship 'DE,FR:4.90' --pick-up --place 'DE,Berlin' --tag kitchen`

async function create(run: Invocation, flags: DraftFlags & { dryRun?: boolean }): Promise<void> {
  const client = await run.client()
  const { draft: said, photos } = await draftFrom(flags, () => tokensOf(run))
  const draft = await complete(run, said)
  if (flags.dryRun === true) return dryRun(run, draft, photos)
  const body = (await uploadPhotos({ draft, photos }, client, photoNote(run))) as Draft
  await run.out.show(await client.call('POST /v1/listings', { body }), details)
}

/** What a listing cannot do without is asked for, where somebody can be asked. */
async function complete({ ask }: Invocation, draft: Partial<Draft>): Promise<Draft> {
  const missing = (flag: string): CliError =>
    new CliError('usage', `a listing needs ${flag}`, { hint: 'see: souk listing create --help' })
  const title = draft.title ?? (await ask?.text('What is it? One line'))
  if (title === undefined) throw missing('--title')
  const category = draft.category ?? (await askCategory(ask))
  if (category === undefined) throw missing('--category')
  return { ...draft, title, category }
}

async function askCategory(ask: Invocation['ask']): Promise<string | undefined> {
  return ask === undefined
    ? undefined
    : categoryOf(await ask.text('Category, by name or id', { placeholder: 'cameras' }))
}

async function dryRun(run: Invocation, draft: Draft, photos: readonly string[]): Promise<void> {
  await checkDraft(draft)
  const fields = Object.entries(draft).map(([name, value]) => ({
    name,
    of: () => (typeof value === 'string' ? value : JSON.stringify(value))
  }))
  await run.out.show({ ...draft, photos }, { columns: [...fields, { name: 'photos', of: () => photos.join('\n') }] })
}

/** The contract's own schema; loaded only here, since the node checks whatever is sent. */
async function checkDraft(draft: Partial<Draft>): Promise<void> {
  const { contract } = await import('@souk/api')
  const result = contract['POST /v1/listings'].body.safeParse(draft)
  if (result.success) return
  const issue = result.error.issues[0]
  throw new CliError('usage', `${issue?.path.map(String).join('.')}: ${issue?.message}`)
}

async function listAll(
  run: Invocation,
  flags: { mine?: boolean; seller?: string; category?: string; limit: string; after?: string }
): Promise<void> {
  const client = await run.client()
  const seller = flags.mine === true ? (await client.call('GET /v1/status')).did : flags.seller
  const listings = await client.call('GET /v1/listings', {
    query: {
      seller: seller as ListingView['seller'] | undefined,
      category: flags.category === undefined ? undefined : categoryOf(flags.category),
      limit: countOf(flags.limit, '--limit'),
      after: flags.after
    }
  })
  await run.out.list(listings, list)
}

async function deleteAll(run: Invocation, ids: readonly string[]): Promise<void> {
  const client = await run.client()
  await run.confirm(ids.length === 1 ? `Delete ${ids[0]}?` : `Delete ${ids.length} listings?`)
  for (const id of ids) await client.call('DELETE /v1/listings/:id', { params: { id } })
  await run.out.list(
    ids.map((id) => ({ deleted: id })),
    { columns: [{ name: 'deleted', of: ({ deleted }) => deleted }] }
  )
}

/** Publishes several at once, which share the node's writes; one that is refused does not stop the others. */
async function importAll(run: Invocation, path: string, flags: { photos?: string; dryRun?: boolean }): Promise<void> {
  const client = await run.client()
  const drafts = await draftsFromFile(path, { photoFolder: flags.photos })
  const published: ListingView[] = []
  let failed = 0
  const publish = async (draft: (typeof drafts)[number]): Promise<ListingView | undefined> => {
    if (flags.dryRun === true) return checkDraft(draft.draft).then(() => undefined)
    const body = (await uploadPhotos(draft, client, () => undefined)) as Draft
    return client.call('POST /v1/listings', { body })
  }
  for (let done = 0; done < drafts.length;) {
    const lot = drafts.slice(done, done + importedAtOnce)
    for (const [index, outcome] of (await Promise.allSettled(lot.map(publish))).entries()) {
      if (outcome.status === 'fulfilled') {
        if (outcome.value !== undefined) published.push(outcome.value)
        continue
      }
      const { code, message } = showError(outcome.reason)
      if (code === 'unreachable-node' || code === 'cancelled' || run.signal.aborted) throw outcome.reason
      failed++
      const title = printable(String(lot[index]?.draft.title))
      run.out.warn(`number ${done + index + 1}, ${title}: ${printable(`${code}: ${message}`)}`)
    }
    done += lot.length
    run.out.note(`${done} of ${drafts.length}`)
  }
  await run.out.list(published, list)
  if (failed > 0) throw new CliError('some-failed', `${failed} of ${drafts.length} listings were refused`)
}

function photoNote(run: Invocation): (name: string, image: { hadLocation: boolean; bytes: number }) => void {
  return (name, { hadLocation, bytes }) =>
    run.out.note(
      `${printable(name)}: ${Math.round(bytes / 1000)} kB${hadLocation ? ', where it was taken removed' : ''}`
    )
}

async function tokensOf(run: Invocation): Promise<{ symbol: string; token: string; decimals: number }[]> {
  return (await (await run.client()).call('GET /v1/wallet')).balances
}
