import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPhrase, identityFromPhrase, sealRecord, type Signer, type SoukRecord } from '@souk/records'

/** One figure against its baseline in the same run, because machines differ and are noisy. */
export interface Measurement {
  readonly value: number
  readonly unit: string
  /** The same work without what is measured. */
  readonly baseline: number
  /** `value` over `baseline`; below 1 is slower for rates, above 1 is slower for times. */
  readonly ratio: number
}

/** By name. */
export type Report = Record<string, Measurement>

export function compare(unit: string, { value, baseline }: { value: number; baseline: number }): Measurement {
  return { value: round(value), unit, baseline: round(baseline), ratio: round(value / baseline) }
}

/** The best rate of several rounds: noise only ever slows down. */
export function perSecond(task: () => void, { count, rounds = 5 }: { count: number; rounds?: number }): number {
  const rates = Array.from({ length: rounds }, () => {
    const start = performance.now()
    for (let index = 0; index < count; index++) task()
    return count / ((performance.now() - start) / 1000)
  })
  return Math.max(...rates)
}

/** Milliseconds that a task takes. */
export async function timed(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await task()
  return performance.now() - start
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** The value that `percent` of all values are at or below. */
export function percentile(values: readonly number[], percent: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil((values.length * percent) / 100) - 1] ?? Number.NaN
}

/** A folder that is gone when the bench is. */
export async function scratch(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'souk-bench-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export function createSigner(): Signer {
  return identityFromPhrase(createPhrase()).signer
}

const monthMs = 30 * 24 * 60 * 60 * 1000
const words =
  'amber bicycle copper drawer enamel folding glass hand iron jug kettle lamp mirror oak pine quilt rug shelf tin vase'.split(
    ' '
  )

/**
 * Listings of about 1 kB as people write them, all live.
 *
 * @param options.atMs - When each was made; one a second, backwards from now, when left out.
 */
export function sealListings(
  count: number,
  signer: Signer,
  options: { atMs?: (index: number) => number } = {}
): SoukRecord<'listing'>[] {
  const nowMs = Date.now()
  const atMs = options.atMs ?? ((index: number) => nowMs - (index % 86_400) * 1000)
  return Array.from({ length: count }, (_, index) => {
    const title = `${words[index % 20]} ${words[(index * 7 + 3) % 20]} number ${index}`
    const description = Array.from({ length: 110 }, (_each, at) => words[(index * 31 + at * 17) % 20]).join(' ')
    const times = { createdAtMs: atMs(index), expiresAtMs: atMs(index) + monthMs }
    const content = {
      type: 'Offer' as const,
      businessFunction: 'Sell' as const,
      trade: 'fixed-price' as const,
      title,
      description,
      language: 'en',
      category: 'hg',
      price: { minor: String(500 + index), currency: 'EUR' },
      unit: 'C62',
      quantity: 1,
      images: [],
      delivery: [{ kind: 'pick-up' as const }],
      settlements: [{ kind: 'direct' as const, methods: ['cash'] }],
      tags: ['old']
    }
    const key = `hg.${index.toString(36).padStart(8, '0')}`
    return sealRecord({ kind: 'listing', market: 'main', key, seq: 0, ...times, content }, signer)
  })
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
