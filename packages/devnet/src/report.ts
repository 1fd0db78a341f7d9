import { styleText } from 'node:util'
import type { ReputationView } from '@souk/node'
import { names } from './cast.ts'
import type { DemoResult } from './demo.ts'
import { type Balances, tokenText } from './money.ts'
import type { Person } from './person.ts'
import type { Listener, Step } from './story.ts'
import { renderTable } from './table.ts'

/** Where a person reads along. */
export type Screen = NodeJS.WriteStream

/** Tells each step when it has happened, and on a terminal also while it happens. */
export function createProgress(screen: Screen): Listener {
  const clear = screen.isTTY ? '\r\u001B[K' : ''
  return {
    onBegin({ who, name }) {
      if (screen.isTTY) screen.write(`  … ${who}: ${name}`)
    },
    onEnd(step) {
      screen.write(`${clear}${markOf(step, screen)} ${timeText(step.ms)}  ${step.who}: ${step.name}\n`)
      screen.write(styleText('dim', `            ${step.detail}\n`, { stream: screen }))
    }
  }
}

/** The end of the story: who did what, how long it took, money, and the seller's name. */
export function reportText({ steps, balances, reputation, market }: DemoResult, screen: Screen): string {
  const rows = steps.map((step) => [markOf(step, screen), step.who, step.name, timeText(step.ms)])
  const totalMs = steps.reduce((sum, { ms }) => sum + ms, 0)
  return [
    '',
    ...renderTable(['', 'who', 'what', '   time'], [...rows, ['', '', 'all of it', timeText(totalMs)]]),
    '',
    ...moneyLines(balances),
    ...(reputation === undefined ? [] : reputationLines(reputation, market?.people ?? [])),
    ''
  ].join('\n')
}

/** One line for programs. */
export function jsonOf({ ok, steps, balances, reputation, error }: DemoResult): string {
  return JSON.stringify(
    {
      ok,
      steps: steps.map(({ name, who, ok: held, ms, detail }) => ({ name, ok: held, ms, who, detail })),
      balances,
      reputation,
      ...(error === undefined ? {} : { error: error.message })
    },
    (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)
  )
}

function moneyLines({ before, after }: DemoResult['balances']): string[] {
  if (before === undefined) return []
  const row = (who: string, of: keyof Balances): string[] => [
    who,
    tokenText(before[of]),
    after === undefined ? '?' : tokenText(after[of])
  ]
  const { seller, buyer } = names
  return [
    ...renderTable(
      ['money', 'before', 'after'],
      [row(`${seller}, who sold`, 'seller'), row(`${buyer}, who bought`, 'buyer'), row('the escrow', 'escrow')]
    ),
    ''
  ]
}

function reputationLines(
  { expected, lowerBound, ratings, evidence, because }: ReputationView,
  people: readonly Person[]
): string[] {
  const share = (part: number): string => `${(100 * part).toFixed(1)} %`
  const { onlooker, seller, buyer } = names
  const proofs = Object.entries(evidence).map(([kind, count]) => `${count} by ${kind}`)
  // The node tells people by the ends of their keys; here their names are known.
  const named = (text: string): string =>
    people.reduce((rest, { did, name }) => rest.replaceAll(`…${did.slice(-6)}`, name), text)
  return [
    `${onlooker}, who took no part and met neither, expects ${share(expected)} of ${seller}’s trades to go well`,
    `(at least ${share(lowerBound)}), from ${ratings} rating, proved: ${proofs.join(', ')}.`,
    `Why: ${onlooker} trusts ${buyer}, and`,
    ...because.map(({ text, contribution }) => `  ${buyer} ${named(text)}  (counts ${contribution.toFixed(2)})`)
  ]
}

function markOf({ ok }: Step, stream: Screen): string {
  return ok ? styleText('green', '✓', { stream }) : styleText('red', '✗', { stream })
}

function timeText(ms: number): string {
  return `${(ms / 1000).toFixed(2).padStart(6)} s`
}
