import type { FeedbackView } from '@souk/node'
import type { RequestOf } from '@souk/api'
import type { Command } from 'commander'
import { countOf } from '../draft.ts'
import { CliError } from '../errors.ts'
import { readText } from '../input.ts'
import type { Begin, Invocation } from '../invocation.ts'
import type { Shape } from '../output.ts'
import { timeText } from '../text.ts'

type Draft = RequestOf<'POST /v1/feedback'>['body']

const shape: Shape<FeedbackView> = {
  route: 'GET /v1/feedback/:did',
  columns: [
    { name: 'stars', of: ({ stars }) => stars, right: true },
    { name: 'evidence', of: ({ evidence }) => evidence },
    { name: 'role', of: ({ role }) => role },
    { name: 'created', of: ({ createdAtMs }) => timeText(createdAtMs) },
    { name: 'text', of: ({ text }) => text },
    { name: 'rater', of: ({ rater }) => rater },
    { name: 'id', of: ({ id }) => id, wide: true }
  ]
}

const aspects = ['described', 'communication', 'punctuality', 'care'] as const

export function addFeedback(feedback: Command, begin: Begin): void {
  feedback
    .command('give')
    .description('rate the other side of an order, once and for good')
    .argument('<order>', 'id, or its first eight digits')
    .requiredOption('--stars <n>', '1 to 5')
    .option('--aspect <name=n...>', `${aspects.join(', ')}: as care=5`)
    .option('--text <text>', 'what others should know; - is standard input')
    .action(begin(give))
  feedback
    .command('show')
    .description('ratings of somebody')
    .argument('<did>', 'whose; "me" for your own')
    .option('--search', 'ask the network too')
    .action(
      begin(async (run, who: string, { search }: { search?: boolean }) => {
        const client = await run.client()
        const query = { search: search === true ? ('true' as const) : undefined }
        const params = { did: await didOf(run, who) }
        await run.out.list(await client.call('GET /v1/feedback/:did', { params, query }), shape)
      })
    )
  feedback
    .command('get')
    .description('one rating')
    .argument('<id>', 'its id, as whoever gave it has it')
    .option('--search', 'fetch it from the network when it is not here')
    .action(
      begin(async (run, id: string, { search }: { search?: boolean }) => {
        const client = await run.client()
        const query = { search: search === true ? ('true' as const) : undefined }
        await run.out.show(await client.call('GET /v1/ratings/:id', { params: { id }, query }), shape)
      })
    )
}

/** @returns The identity that is meant: `me` is one's own. */
export async function didOf(run: Invocation, who: string): Promise<string> {
  return who === 'me' ? (await (await run.client()).call('GET /v1/status')).did : who
}

async function give(
  run: Invocation,
  order: string,
  flags: { stars: string; aspect?: readonly string[]; text?: string }
): Promise<void> {
  const client = await run.client()
  const text = flags.text === '-' ? (await readText('-')).trim() : flags.text
  const body: Draft = {
    order,
    stars: countOf(flags.stars, '--stars'),
    ...(flags.aspect === undefined ? {} : { aspects: aspectsOf(flags.aspect) }),
    ...(text === undefined ? {} : { text })
  }
  await run.confirm(`Give ${body.stars} of 5 stars? This stands for good.`)
  await run.out.show(await client.call('POST /v1/feedback', { body }), shape)
}

function aspectsOf(given: readonly string[]): NonNullable<Draft['aspects']> {
  return Object.fromEntries(
    given.map((text) => {
      const [name = '', stars = ''] = text.split('=', 2)
      if (!aspects.some((aspect) => aspect === name)) {
        throw new CliError('usage', `--aspect: there is no "${name}"`, { hint: `there are ${aspects.join(', ')}` })
      }
      return [name, countOf(stars, `--aspect ${name}`)]
    })
  )
}
