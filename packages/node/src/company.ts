import { installationsOf, type Network } from '@souk/network'
import { bytesToHex } from '@noble/hashes/utils.js'
import { type Did, keyFromDid } from '@souk/records'
import type { RecordStore } from '@souk/storage'
import { companyMax } from './limits.ts'
import type { OrderView } from './order.ts'
import type { ProfileDesk } from './profiles.ts'

export interface CompanyComponents {
  readonly records: Pick<RecordStore, 'on'>
  readonly profiles: Pick<ProfileDesk, 'contentOf'>
  readonly keeper: Pick<Network['keeper'], 'want' | 'unwant'>
  readonly onError: (error: unknown) => void
}

/**
 * Keeps this node connected to the people whom it has business with: those it follows, and the other party of each order
 * that is agreed and not over. Where they are their profiles say; whoever moves is followed.
 */
export interface Company {
  /** An order has changed, or was there at the start. */
  follow(order: Pick<OrderView, 'id' | 'counterparty' | 'role' | 'phase'>): void
}

export function createCompany(
  components: CompanyComponents,
  init: { readonly followed: Iterable<Did>; readonly signal: AbortSignal }
): Company {
  const { records, profiles, keeper, onError } = components
  /** Why somebody is kept: orders that are open, and `followed`. The longest known come first. */
  const reasons = new Map<Did, Set<string>>()
  const kept = new Map<Did, ReturnType<typeof installationsOf>>()

  const look = async (did: Did): Promise<void> => {
    const isKept = reasons.has(did)
    const profile = isKept ? await profiles.contentOf(did) : undefined
    const named = profile === undefined ? [] : installationsOf(profile)
    for (const { peer } of kept.get(did) ?? []) {
      if (!named.some((one) => one.peer.equals(peer))) keeper.unwant(peer, 'order')
    }
    if (init.signal.aborted) return
    for (const { peer, addresses } of named) keeper.want(peer, 'order', addresses)
    if (isKept) kept.set(did, named)
    else kept.delete(did)
  }
  const lookSoon = (did: Did): void => void look(did).catch(onError)

  const add = (did: Did, reason: string): void => {
    if (!reasons.has(did) && reasons.size >= companyMax) return
    const all = reasons.get(did) ?? new Set()
    reasons.set(did, all.add(reason))
    if (all.size === 1) lookSoon(did)
  }
  const remove = (did: Did, reason: string): void => {
    const all = reasons.get(did)
    if (all?.delete(reason) !== true || all.size > 0) return
    reasons.delete(did)
    lookSoon(did)
  }

  const unsubscribe = records.on('stored', (stored) => {
    const authors = new Set(
      stored.filter(({ record }) => record.kind === 'profile').map(({ record }) => bytesToHex(record.author))
    )
    if (authors.size === 0) return
    for (const did of reasons.keys()) if (authors.has(bytesToHex(keyFromDid(did)))) lookSoon(did)
  })
  init.signal.addEventListener('abort', unsubscribe, { once: true })
  for (const did of init.followed) add(did, 'followed')

  return {
    follow({ id, counterparty, role, phase }) {
      if (isOver(phase)) remove(counterparty, id)
      else if (role === 'buyer' || phase !== 'REQUESTED') add(counterparty, id)
    }
  }
}

function isOver(phase: string): boolean {
  return phase === 'CLOSED' || phase === 'VOID' || phase === 'CANCELLED'
}
