import { setImmediate } from 'node:timers/promises'
import {
  type ContentOf,
  preimageOf,
  type Priced,
  type RecordDraft,
  type RecordKind,
  sealRecord,
  type Signer,
  type SoukRecord,
  workBitsAskedMax
} from '@souk/records'
import type { RecordStore, StorageOp } from '@souk/storage'
import type { Network } from '@souk/network'
import { NodeError } from './errors.ts'
import { putTriesMax, workBitsByItselfMax, workHeadroomBits } from './limits.ts'
import type { Prover } from './prover.ts'
import { createTurns } from './turns.ts'

/** Puts this identity's own records into the world. */
export interface Publisher {
  /**
   * Finds the work for what the slot says next, signs and stores it durably, then tells the network.
   *
   * @throws {@link NodeError} `not-allowed-now` when another installation of the identity keeps changing the slot.
   * @param content - Or what makes it of what the slot says now, which may have changed since the caller looked.
   * @param extraOps - Other changes of the batch in which it is stored; written once more when that was in vain.
   */
  publish<K extends RecordKind>(
    slot: OwnSlot<K>,
    content: ContentOf<K> | ((standing: ContentOf<K> | null | undefined) => ContentOf<K>),
    extraOps?: readonly StorageOp[]
  ): Promise<SoukRecord<K>>
  /** Replaces what the slot holds by a tombstone that lives as long as the record would have. */
  remove<K extends RecordKind>(standing: SoukRecord<K>, extraOps?: readonly StorageOp[]): Promise<SoukRecord<K>>
  /** Tells the network again; what nobody hears now goes out with catch-up. */
  announce(record: SoukRecord): Promise<void>
}

/** One of this identity's slots, and how long what is put there lives. */
export interface OwnSlot<K extends RecordKind = RecordKind> {
  readonly kind: K
  readonly key: string
  readonly lifeMs: number
  /** The next `seq` after the one that stands. Default: one more, from 0. */
  readonly seqAfter?: (standing: number | undefined) => number
}

export interface PublisherComponents {
  readonly records: Pick<RecordStore, 'head' | 'put'>
  readonly network: Pick<Network, 'publish'> & { readonly gate: Pick<Network['gate'], 'asksStrangers'> }
  readonly prover: Prover
  readonly signer: Signer
}

export interface PublisherInit {
  readonly now: () => number
  readonly market: string
  /** Bits of work that the user does on top. Default: 0. */
  readonly extraWorkBits?: number | undefined
}

export function createPublisher(components: PublisherComponents, init: PublisherInit): Publisher {
  const { records, network, prover, signer } = components
  // Two revisions made at once must not get one `seq`.
  const inTurn = createTurns()

  // Records that were written together are announced together: a bulk goes another way than one.
  const announce: Publisher['announce'] = gathered(async (together: readonly SoukRecord[]) => {
    await network.publish(together)
  })

  /** Seals what comes after what stands; once more when another installation's word came in meanwhile and stands above. */
  const revise = <K extends RecordKind>(
    { kind, key }: Pick<SoukRecord<K>, 'kind' | 'key'>,
    sealAfter: (standing: SoukRecord<K> | undefined) => Promise<SoukRecord<K>>,
    extraOps: readonly StorageOp[]
  ): Promise<SoukRecord<K>> =>
    inTurn(`${kind} ${key}`, async () => {
      for (let tries = 1; tries <= putTriesMax; tries++) {
        const standing = await records.head({ author: signer.publicKey, kind, key })
        const record = await sealAfter(standing as SoukRecord<K> | undefined)
        const [outcome] = await records.put(record as never, { own: true, extraOps })
        if (outcome === 'stale') continue
        await announce(record)
        return record
      }
      throw new NodeError('not-allowed-now', 'another installation of this identity changes this all the time')
    })

  const bitsFor = (priced: Priced): number => {
    const asked = network.gate.asksStrangers(priced)
    if (asked === 0) return 0
    const bits = Math.min(workBitsByItselfMax, asked + workHeadroomBits) + (init.extraWorkBits ?? 0)
    return Math.min(workBitsAskedMax, bits)
  }

  const seal = async <K extends RecordKind>(draft: RecordDraft<K>): Promise<SoukRecord<K>> => {
    const { preimage, priced } = preimageOf(draft, signer.publicKey)
    const bits = bitsFor(priced)
    return sealRecord(draft, signer, bits === 0 ? { workBits: 0 } : { work: await prover.find(preimage, bits) })
  }

  return {
    announce,
    publish: (slot, said, extraOps = []) =>
      revise(
        slot,
        (standing) => {
          const { kind, key, lifeMs, seqAfter = oneMore } = slot
          const createdAtMs = init.now()
          const times = { createdAtMs, expiresAtMs: createdAtMs + lifeMs }
          const content = typeof said === 'function' ? said(standing?.content) : said
          return seal({ kind, key, market: init.market, seq: seqAfter(standing?.seq), ...times, content })
        },
        extraOps
      ),
    remove: (known, extraOps = []) =>
      revise(
        known,
        (standing = known) => {
          const { kind, key, market, seq, expiresAtMs } = standing
          const createdAtMs = Math.min(init.now(), expiresAtMs)
          return seal({ kind, key, market, seq: seq + 1, createdAtMs, expiresAtMs, content: null })
        },
        extraOps
      )
  }
}

function oneMore(standing: number | undefined): number {
  return standing === undefined ? 0 : standing + 1
}

/** Joins calls of one turn of the event loop into one. */
function gathered<T>(task: (together: readonly T[]) => Promise<void>): (one: T) => Promise<void> {
  let waiting: T[] = []
  let done: Promise<void> | undefined
  const start = async (): Promise<void> => {
    await setImmediate()
    const together = waiting
    waiting = []
    done = undefined
    await task(together)
  }
  return (one) => {
    waiting.push(one)
    done ??= start()
    return done
  }
}
