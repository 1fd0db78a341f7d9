import { setTimeout } from 'node:timers/promises'
import {
  cleanText,
  type ContentOf,
  type Did,
  didFromKey,
  isRecordId,
  keyFromDid,
  openReceipt,
  recordDigest,
  type RecordId,
  type Signer,
  type SoukRecord
} from '@souk/records'
import { createGraph, type FeedbackEdge, type ReputationGraph, type Score } from '@souk/reputation'
import type { RecordStore } from '@souk/storage'
import type { FeedbackDirectory } from '@souk/network'
import { receiptOf } from '@souk/trading'
import { NodeError } from './errors.ts'
import type { Proof } from './evidence.ts'
import type { Feedback, FeedbackDraft, FeedbackView, ReputationView } from './feedback.ts'
import { feedbackLifeMs, pageMax, spreadOnCloseMs } from './limits.ts'
import type { HeldOrder } from './order-book.ts'
import type { OrderDesk } from './orders.ts'
import type { Publisher } from './publisher.ts'
import { createTurns } from './turns.ts'

type FeedbackRecord = SoukRecord<'feedback'> & { readonly content: ContentOf<'feedback'> }

export interface FeedbacksComponents {
  readonly records: Pick<RecordStore, 'conflicts' | 'feedbackOn' | 'get' | 'list' | 'on' | 'put' | 'head'>
  readonly publisher: Publisher
  readonly directory: Pick<FeedbackDirectory, 'adopt' | 'publish' | 'find' | 'get'>
  readonly orders: Pick<OrderDesk, 'held'>
  readonly proofOf: (record: FeedbackRecord) => Promise<Proof>
  readonly signer: Signer
  readonly onProblem: (problem: { code: string; message: string }) => void
}

export interface FeedbacksInit {
  readonly now: () => number
  /** Whose word counts besides one's own. */
  readonly curators: readonly Did[]
  /** 32 random bits, kept for the life of the node. */
  readonly seed: number
}

/** Ratings of this node's orders, those of others, and what they are worth to this reader. */
export interface FeedbackDesk extends Feedback, AsyncDisposable {
  /** Has one's own ratings, and those one received, put daily where strangers look for them. */
  spread(options: { readonly signal: AbortSignal }): Promise<void>
}

export function createFeedbacks(components: FeedbacksComponents, init: FeedbacksInit): FeedbackDesk {
  const { records, publisher, directory, orders, proofOf, signer } = components
  const me = didFromKey(signer.publicKey)

  const spreading = new Set<Promise<unknown>>()
  // Two ratings of one order at once would be two that contradict each other for ever.
  const inTurn = createTurns()

  const spreadOne = async (record: FeedbackRecord): Promise<void> => {
    const work = directory.publish(record)
    spreading.add(work)
    try {
      await work
    } catch (error) {
      components.onProblem({ code: 'feedback', message: `a rating could not be spread: ${(error as Error).message}` })
    } finally {
      spreading.delete(work)
    }
  }

  const view = async (record: FeedbackRecord): Promise<FeedbackView> => feedbackView(record, await proofOf(record))

  const about = async (
    subject: Did,
    options: { search?: boolean | undefined; signal?: AbortSignal | undefined } = {}
  ): Promise<FeedbackRecord[]> => {
    const key = keyFromDid(subject)
    const held = (await records.feedbackOn(key)) as FeedbackRecord[]
    if (options.search !== true) return held
    const known = held.map(({ id }) => id)
    const found = await directory.find(key, { known, ...(options.signal && { signal: options.signal }) })
    if (found.records.length === 0) return held
    await records.put([...found.records] as never)
    return (await records.feedbackOn(key)) as FeedbackRecord[]
  }

  const one = async (
    id: RecordId,
    { search, signal }: { search: boolean; signal: AbortSignal | undefined }
  ): Promise<FeedbackRecord | undefined> => {
    const held = await records.get(id)
    if (held !== undefined || !search) return held?.kind === 'feedback' ? (held as FeedbackRecord) : undefined
    const found = await directory.get(recordDigest(id), signal === undefined ? {} : { signal })
    if (found !== undefined) await records.put(found)
    return found
  }

  const give = async (draft: FeedbackDraft, { state, role, counterparty }: HeldOrder): Promise<FeedbackView> => {
    const slot = { author: signer.publicKey, kind: 'feedback' as const, key: state.order }
    if ((await records.head(slot)) !== undefined) {
      throw new NodeError('already-given', 'you have rated this order; a rating is never changed')
    }
    if (state.reason === undefined) throw new NodeError('not-allowed-now', 'rate an order once it has ended')
    const content = {
      subject: keyFromDid(counterparty),
      role,
      stars: draft.stars,
      ...(draft.aspects === undefined ? {} : { aspects: draft.aspects as ContentOf<'feedback'>['aspects'] }),
      text: cleanText(draft.text ?? ''),
      receipt: receiptOf(state)
    }
    const record = (await publisher.publish(
      { kind: 'feedback', key: state.order, lifeMs: feedbackLifeMs },
      content
    )) as FeedbackRecord
    void spreadOne(record)
    return view(record)
  }

  return {
    async give(draft) {
      const held = await orders.held(draft.order)
      return inTurn(held.state.order, () => give(draft, held))
    },
    async get(id, { search = false, signal } = {}) {
      const record = isRecordId(id) ? await one(id, { search, signal }) : undefined
      if (record === undefined) throw new NodeError('not-found', `no rating ${id.slice(0, 100)} is here`)
      return view(record)
    },
    about: async (subject, options) => Promise.all((await about(subject, options)).map(view)),
    async reputation(subject, options) {
      await about(subject, options)
      const graph = await graphOf()
      const score = graph.score(subject, { roots: [me, ...init.curators].slice(0, 64), nowMs: init.now() })
      return reputationView(subject, score)
    },
    async spread({ signal }) {
      const own = await records.list({ kind: 'feedback', author: signer.publicKey, limit: pageMax })
      const received = await records.feedbackOn(signer.publicKey)
      await directory.adopt([...own, ...received], { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    },
    async [Symbol.asyncDispose]() {
      // Who rates and leaves at once may not be back for weeks.
      const patience = new AbortController()
      const late = setTimeout(spreadOnCloseMs, undefined, { signal: patience.signal }).catch(() => undefined)
      await Promise.race([Promise.allSettled(spreading), late])
      patience.abort()
    }
  }

  /**
   * The graph of everything that is here. Made anew for each question: what proves a rating changes as chains are
   * read, and a hundred thousand ratings take a fraction of a second.
   */
  async function graphOf(): Promise<ReputationGraph> {
    const graph = createGraph({ seed: init.seed })
    let after: FeedbackRecord | undefined
    do {
      const page = (await records.list({
        kind: 'feedback',
        limit: pageMax,
        ...(after === undefined ? {} : { after })
      })) as FeedbackRecord[]
      for (const record of page) graph.add(edgeOf(record, await proofOf(record)))
      after = page.length < pageMax ? undefined : page.at(-1)
    } while (after !== undefined)
    return graph
  }
}

function edgeOf(record: FeedbackRecord, { evidence, valueUnits, atMs }: Proof): FeedbackEdge {
  const { content } = record
  return {
    rater: didFromKey(record.author),
    subject: didFromKey(content.subject),
    order: record.key,
    raterRole: content.role,
    stars: content.stars as FeedbackEdge['stars'],
    valueUnits,
    evidence,
    atMs
  }
}

function feedbackView(record: FeedbackRecord, { evidence }: Proof): FeedbackView {
  const { content } = record
  const aspects = Object.entries(content.aspects ?? {}).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number'
  )
  return {
    id: record.id,
    rater: didFromKey(record.author),
    subject: didFromKey(content.subject),
    role: content.role,
    order: record.key,
    listing: openReceipt(content.receipt).statement.listing.toString(),
    stars: content.stars,
    aspects: Object.fromEntries(aspects),
    text: content.text,
    createdAtMs: record.createdAtMs,
    evidence
  }
}

function reputationView(subject: Did, score: Score): ReputationView {
  const { expected, confidence, lowerBound, counts, completeness, explanation } = score
  return {
    subject,
    expected,
    confidence,
    lowerBound,
    ratings: Object.values(counts.byEvidence).reduce((sum, count) => sum + count, 0),
    evidence: counts.byEvidence,
    ...(completeness === undefined ? {} : { completeness }),
    because: explanation.map(({ path, edges, contribution }) => ({
      path: path as Did[],
      contribution,
      text: edges
        .map(
          ({ to, bought, sold, stars }) =>
            `${dealings({ bought, sold })} ${shortOf(to as Did)}, rated ${stars.toFixed(1)}`
        )
        .join(' → ')
    }))
  }
}

function dealings({ bought, sold }: { bought: number; sold: number }): string {
  const times = (count: number): string => (count === 1 ? 'once' : `${count} times`)
  return [bought > 0 ? `bought ${times(bought)} from` : '', sold > 0 ? `sold ${times(sold)} to` : '']
    .filter(Boolean)
    .join(' and ')
}

function shortOf(did: Did): string {
  return `…${did.slice(-6)}`
}
