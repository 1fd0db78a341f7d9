/** What people do: who carries what, who publishes what, and what everybody should have in the end. */
import {
  type Channel,
  categories,
  type ContentOf,
  recordDigest,
  type RecordId,
  sealRecord,
  type SoukRecord
} from '@souk/records'
import type { Peer } from './peer.ts'
import type { Random } from './random.ts'

/** A record that an honest node published, and when, by the true clock. */
export interface Publication {
  readonly record: SoukRecord<'listing'>
  readonly peer: Peer
  readonly atMs: number
}

/** What has been published, and what of it stands. */
export interface Ledger {
  /** By id. */
  readonly publications: ReadonlyMap<RecordId, Publication>
  /** Publishes as a seller does: mostly something new, sometimes a new price, sometimes the end of an offer. */
  publish(peer: Peer): Promise<Publication>
  /** What stands of all that was published up to then, tombstones included; not what has expired. */
  standing(channel: Channel, nowMs: number): Publication[]
}

/** Of all publications: so many change an offer, and so many take one down. */
const changed = 0.1
const deleted = 0.05

const dayMs = 86_400_000
/** Sellers choose among these. */
const lives = [3, 7, 14, 30].map((days) => days * dayMs - 1000)

export function createLedger(init: { random: Random; nowMs: () => number }): Ledger {
  const { random, nowMs } = init
  const publications = new Map<RecordId, Publication>()
  /** Each seller's own slots. */
  const slots = new Map<string, Map<string, Publication>>()

  const next = (peer: Peer): SoukRecord<'listing'> => {
    const own = slots.get(peer.name)
    const live = [...(own?.values() ?? [])].filter(({ record }) => record.content !== null)
    const chance = random.next()
    if (live.length > 0 && chance < deleted) return remove(peer, random.pick(live).record)
    if (live.length > 0 && chance < deleted + changed) return change(peer, random.pick(live).record, random)
    return offer(peer, own?.size ?? 0, random)
  }

  return {
    publications,
    publish: async (peer) => {
      const record = next(peer)
      const publication = { record, peer, atMs: nowMs() }
      const own = slots.get(peer.name) ?? new Map<string, Publication>()
      slots.set(peer.name, own.set(record.key, publication))
      publications.set(record.id, publication)
      await peer.publish(record)
      return publication
    },
    standing: (channel, now) =>
      [...slots.values()]
        .flatMap((own) => [...own.values()])
        .filter(({ record }) => record.channel === channel && record.expiresAtMs > now)
  }
}

/** Top categories of the taxonomy, as channels. */
export const listingChannels: readonly Channel[] = [
  ...new Set(categories.map(({ id }): Channel => `listings/${id.split('.')[0] ?? id}`))
]

/**
 * What one person carries: two categories on average, the first ones more often than the last, as interests go
 * (Zipf with exponent 0.5), and everybody's profiles.
 */
export function chooseChannels(random: Random): Channel[] {
  const weights = listingChannels.map((_, rank) => 1 / Math.sqrt(rank + 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const count = 1 + random.below(3)
  const chosen = new Set<Channel>(['people'])
  while (chosen.size <= count) {
    let left = random.next() * total
    chosen.add(listingChannels.find((_, rank) => (left -= weights[rank] ?? 0) < 0) ?? 'people')
  }
  return [...chosen]
}

function offer(peer: Peer, number: number, random: Random): SoukRecord<'listing'> {
  const channels = peer.channels.filter((channel) => channel.startsWith('listings/'))
  const category = random.pick(channels).slice('listings/'.length)
  const createdAtMs = peer.nowMs()
  return seal(peer, {
    key: `${category}.${number.toString(36).padStart(8, '0')}`,
    seq: 0,
    createdAtMs,
    expiresAtMs: createdAtMs + random.pick(lives),
    content: contentOf(category, random)
  })
}

function change(peer: Peer, standing: SoukRecord<'listing'>, random: Random): SoukRecord<'listing'> {
  const { key, seq, content } = standing
  const createdAtMs = peer.nowMs()
  const price = { minor: String(100 + random.below(100_000)), currency: 'EUR' }
  const expiresAtMs = Math.max(standing.expiresAtMs, createdAtMs + dayMs)
  return seal(peer, { key, seq: seq + 1, createdAtMs, expiresAtMs, content: content && { ...content, price } })
}

function remove(peer: Peer, { key, seq, expiresAtMs }: SoukRecord<'listing'>): SoukRecord<'listing'> {
  const createdAtMs = Math.min(peer.nowMs(), expiresAtMs)
  return seal(peer, { key, seq: seq + 1, createdAtMs, expiresAtMs, content: null })
}

type Draft = Pick<SoukRecord<'listing'>, 'key' | 'seq' | 'createdAtMs' | 'expiresAtMs' | 'content'>

/** With the work that its own node asks of strangers now: others are as full and as busy. */
function seal(peer: Peer, draft: Draft): SoukRecord<'listing'> {
  const priced = { kind: 'listing', bytes: recordBytes, lifeMs: draft.expiresAtMs - draft.createdAtMs } as const
  const workBits = peer.network?.gate.asksStrangers(priced) ?? 0
  return sealRecord({ kind: 'listing', market: 'main', ...draft }, peer.signer, { workBits })
}

/** Below this all listings of the simulation are: what the price is asked for. */
const recordBytes = 2048

function contentOf(category: string, random: Random): ContentOf<'listing'> {
  const words = (count: number): string => Array.from({ length: count }, () => random.pick(vocabulary)).join(' ')
  return {
    type: 'Offer',
    businessFunction: 'Sell',
    trade: 'fixed-price',
    title: words(5),
    description: words(40 + random.below(100)),
    language: 'en',
    category,
    price: { minor: String(100 + random.below(100_000)), currency: 'EUR' },
    unit: 'C62',
    quantity: 1,
    images: [],
    delivery: [{ kind: 'pick-up' }],
    settlements: [{ kind: 'direct', methods: ['cash'] }],
    tags: ['old']
  }
}

const vocabulary =
  'amber bicycle copper drawer enamel folding glass hand iron jug kettle lamp mirror oak pine quilt rug shelf tin vase'.split(
    ' '
  )

/** A map key for a digest. */
export function digestName(digest: Uint8Array): string {
  return Buffer.from(digest).toString('latin1')
}

/** A map key for a record. */
export function recordName({ id }: Pick<SoukRecord, 'id'>): string {
  return digestName(recordDigest(id))
}
