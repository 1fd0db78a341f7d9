import type { ReputationView } from '@souk/node'
import type { Command } from 'commander'
import type { Begin } from '../invocation.ts'
import type { Shape } from '../output.ts'
import { didOf } from './feedback.ts'

const shape: Shape<ReputationView> = {
  route: 'GET /v1/reputation/:did',
  columns: [
    { name: 'subject', of: ({ subject }) => subject },
    { name: 'expected', of: ({ expected }) => shareText(expected) },
    { name: 'atLeast', of: ({ lowerBound }) => shareText(lowerBound) },
    { name: 'confidence', of: ({ confidence }) => confidence.toFixed(2) },
    { name: 'ratings', of: ({ ratings }) => ratings },
    { name: 'evidence', of: ({ evidence }) => evidenceText(evidence) },
    { name: 'completeness', of: ({ completeness }) => completenessText(completeness) },
    { name: 'because', of: ({ because }) => because.map(becauseText).join('\n') }
  ]
}

export function addReputation(reputation: Command, begin: Begin): void {
  reputation
    .command('show')
    .description('what to expect of somebody, from where you stand')
    .argument('<did>', 'whose; "me" for your own')
    .option('--search', 'ask the network for ratings first')
    .action(
      begin(async (run, who: string, { search }: { search?: boolean }) => {
        const client = await run.client()
        const query = { search: search === true ? ('true' as const) : undefined }
        const params = { did: await didOf(run, who) }
        await run.out.show(await client.call('GET /v1/reputation/:did', { params, query }), shape)
      })
    )
}

function shareText(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

function evidenceText(evidence: ReputationView['evidence']): string {
  return Object.entries(evidence)
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ')
}

function completenessText(completeness: ReputationView['completeness']): string {
  if (completeness === undefined) return ''
  return `${completeness.withFeedback} of ${completeness.settled} settled trades are rated`
}

function becauseText({ text, contribution }: ReputationView['because'][number]): string {
  return `${contribution.toFixed(2)}  ${text}`
}
