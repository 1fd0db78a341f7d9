import type { ProfileView } from '@souk/node'
import type { RequestOf } from '@souk/api'
import type { Command } from 'commander'
import { CliError } from '../errors.ts'
import { readInput } from '../input.ts'
import type { Begin, Invocation } from '../invocation.ts'
import { photoBytesMax } from '../limits.ts'
import type { Shape } from '../output.ts'
import { timeText } from '../text.ts'

type Draft = RequestOf<'PUT /v1/profile'>['body']

const shape: Shape<ProfileView> = {
  route: 'GET /v1/profile',
  columns: [
    { name: 'name', of: ({ name }) => name },
    { name: 'nym', of: ({ nym }) => nym },
    { name: 'did', of: ({ did }) => did },
    { name: 'region', of: ({ region }) => region },
    { name: 'languages', of: ({ languages }) => languages?.join(', ') },
    { name: 'avatar', of: ({ avatar }) => avatar },
    { name: 'peers', of: ({ peers }) => peers.flatMap(({ id, addresses }) => [id, ...addresses]).join('\n') },
    { name: 'mailboxes', of: ({ mailboxes }) => mailboxes.join('\n') },
    { name: 'created', of: ({ createdAtMs }) => timeText(createdAtMs) },
    { name: 'about', of: ({ about }) => about }
  ]
}

interface ProfileFlags {
  readonly name?: string
  readonly about?: string
  readonly region?: string
  readonly language?: readonly string[]
  readonly avatar?: string
}

export function addProfile(profile: Command, begin: Begin): void {
  profile
    .command('show')
    .description("one's own, or somebody's")
    .argument('[did]', 'whose')
    .action(
      begin(async (run, did: string | undefined) => {
        const client = await run.client()
        const view =
          did === undefined || did === 'me'
            ? await client.call('GET /v1/profile')
            : await client.call('GET /v1/profiles/:did', { params: { did } })
        await run.out.show(view, shape)
      })
    )
  profile
    .command('set')
    .description('say something about yourself; the rest stays')
    .option('--name <name>', 'what others read')
    .option('--about <text>', 'as long as it takes')
    .option('--region <code>', 'country, as DE')
    .option('--language <tag...>', 'as en de')
    .option('--avatar <file>', 'a picture')
    .action(begin(set))
}

async function set(run: Invocation, flags: ProfileFlags): Promise<void> {
  const client = await run.client()
  const standing = await standingProfile(run)
  const name = flags.name ?? standing?.name
  if (name === undefined) throw new CliError('usage', 'a first profile needs --name')
  const avatar = flags.avatar === undefined ? standing?.avatar : await uploadAvatar(run, flags.avatar)
  const languages = flags.language ?? standing?.languages
  const said: Draft = {
    name,
    about: flags.about ?? standing?.about,
    region: flags.region?.toUpperCase() ?? standing?.region,
    languages: languages === undefined ? undefined : [...languages],
    avatar
  }
  await run.out.show(await client.call('PUT /v1/profile', { body: said }), shape)
}

async function standingProfile(run: Invocation): Promise<ProfileView | undefined> {
  try {
    return await (await run.client()).call('GET /v1/profile')
  } catch (error) {
    if ((error as { status?: number }).status === 404) return undefined
    throw error
  }
}

async function uploadAvatar(run: Invocation, path: string): Promise<string> {
  const body = await readInput(path, { bytesMax: photoBytesMax })
  return (await (await run.client()).call('POST /v1/images', { body })).image
}
