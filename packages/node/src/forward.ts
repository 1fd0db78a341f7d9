import type { Network } from '@souk/network'
import { didFromKey, type SoukRecord } from '@souk/records'
import type { Storage, StoredRecord } from '@souk/storage'
import type { EventBus } from './events.ts'
import type { Mail } from './mail.ts'
import type { StatusView } from './node.ts'
import type { ProfileDesk } from './profiles.ts'

export interface SyncState {
  readonly now: StatusView['sync']
}

/** `catching-up` from the first peer on until one catch-up has ended: until then «nothing here» may be «not yet». */
export function followSync(network: Network, onChange: (state: StatusView['sync']) => void): SyncState {
  let caughtUp = false
  const now = (): StatusView['sync'] => (network.peers().length === 0 ? 'alone' : caughtUp ? 'current' : 'catching-up')
  network.on('caught-up', () => {
    caughtUp = true
    onChange(now())
  })
  network.on('peer-disconnected', () => {
    caughtUp &&= network.peers().length > 0
    if (!caughtUp) onChange(now())
  })
  return {
    get now() {
      return now()
    }
  }
}

export interface ForwardingComponents {
  readonly storage: Pick<Storage, 'records' | 'search'>
  readonly network: Pick<Network, 'on' | 'peers'>
  readonly bus: EventBus
  readonly mail: Pick<Mail, 'hurry' | 'waitedFor'>
  readonly profiles: Pick<ProfileDesk, 'contentOf'>
  readonly onError: (error: unknown) => void
}

/** Tells the node's listeners what happens in its store and network, until `signal` ends it and lets them go. */
export function forwardEvents(
  { storage, network, bus, mail, profiles, onError }: ForwardingComponents,
  { signal }: { signal: AbortSignal }
): void {
  signal.addEventListener('abort', () => bus.close(), { once: true })
  const tell = (record: SoukRecord, gone: boolean): void => {
    if (record.kind === 'listing') {
      bus.emit({
        type: 'listing',
        id: record.id,
        key: record.key,
        seller: didFromKey(record.author),
        gone: gone || record.content === null
      })
    }
    if (record.kind === 'feedback' && !gone) {
      const { content } = record as SoukRecord<'feedback'>
      if (content !== null) bus.emit({ type: 'feedback', id: record.id, subject: didFromKey(content.subject) })
    }
    // A profile says where somebody is: what waits for them can go.
    if (record.kind === 'profile' && !gone) mail.hurry(didFromKey(record.author))
  }
  /** The first peer means that this node is back; any other may be the one that somebody's letters wait for. */
  const hurryFor = async (peer: string): Promise<void> => {
    if (network.peers().length <= 1) return mail.hurry()
    for (const did of mail.waitedFor()) {
      const content = await profiles.contentOf(did)
      const isTheirs = content?.peers.some(({ id }) => id === peer) === true
      if (isTheirs || content?.mailboxes?.some((address) => address.endsWith(`/p2p/${peer}`)) === true) mail.hurry(did)
    }
  }
  /** Told when it can be found: whoever looks then sees it. */
  const tellWhenFound = async (stored: readonly StoredRecord[]): Promise<void> => {
    await storage.search.caughtUp(stored.at(-1)?.sequence ?? 0, signal)
    for (const { record } of stored) tell(record, false)
  }
  storage.records.on('stored', (stored) => void tellWhenFound(stored).catch(onError))
  storage.records.on('removed', (removed) => {
    for (const { record, reason } of removed) if (reason === 'expired') tell(record, true)
  })
  network.on('peer-connected', ({ peer }) => {
    bus.emit({ type: 'peer', id: peer.toString(), connected: true })
    void hurryFor(peer.toString()).catch(onError)
  })
  network.on('peer-disconnected', ({ peer }) => bus.emit({ type: 'peer', id: peer.toString(), connected: false }))
}
