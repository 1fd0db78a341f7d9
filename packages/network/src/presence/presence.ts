/**
 * Where people are now. A profile says it too, but travels by gossip and catch-up, and may be weeks old where it is
 * needed; presence is put into the DHT when an address changes and once a day, and is asked for when an address fails.
 */
import type { AbortOptions, Libp2p } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { type ContentOf, type Did, keyFromDid, RecordError, sealRecord, type Signer } from '@souk/records'
import { eachEvent, isPutConfirmed, valueOf } from '../feedback/value.ts'
import { createQueue, type KeyValueStore } from '../store.ts'
import {
  foundForMs,
  foundMax,
  lookEveryMs,
  lookUpTimeoutMs,
  presenceLifeMs,
  putTimeoutMs,
  renewEveryMs,
  retryFirstMs
} from './limits.ts'
import { newestPresence, presenceKey, presenceOf, type PresenceRecord } from './value.ts'

/** How this installation is reached. */
export interface Whereabouts {
  readonly addresses: readonly string[]
  /** Relays that keep letters for the identity. */
  readonly mailboxes: readonly string[]
}

export interface Presence extends AsyncDisposable {
  /** What an identity says of itself now; undefined when nothing is found. */
  find(did: Did, options?: AbortOptions): Promise<ContentOf<'presence'> | undefined>
  /**
   * Says where this installation is, when that has changed or was last said a day ago. Happens by itself when libp2p
   * tells of new addresses, when a peer comes, and after a while when nobody has heard it.
   *
   * @returns How many replicas have confirmed it; undefined when nothing was due.
   */
  tend(options?: AbortOptions): Promise<number | undefined>
}

export interface PresenceComponents {
  readonly libp2p: Pick<Libp2p, 'peerId' | 'getPeers' | 'addEventListener' | 'removeEventListener'>
  readonly dht: Pick<KadDHT, 'put' | 'get'>
  readonly signer: Signer
  /** A sublevel of its own: `own`, the newest presence of this identity that this installation has seen. */
  readonly store: KeyValueStore
}

export interface PresenceInit {
  readonly now: () => number
  readonly market: string
  /** Empty addresses and mailboxes mean that there is nothing to say. */
  readonly whereabouts: () => Whereabouts
  readonly onError: (error: unknown) => void
}

export function createPresence(components: PresenceComponents, init: PresenceInit): Presence {
  const { libp2p, dht, signer, store } = components
  const { now } = init
  const me = libp2p.peerId.toString()
  const inOrder = createQueue()
  const found = new Map<Did, { content: ContentOf<'presence'> | undefined; untilMs: number }>()
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let waitMs = retryFirstMs
  let said: { readonly text: string; readonly atMs: number } | undefined

  async function get(identity: Uint8Array, options: AbortOptions): Promise<PresenceRecord | undefined> {
    const records: (PresenceRecord | undefined)[] = []
    await eachEvent(dht.get(presenceKey(identity), within(lookUpTimeoutMs, options)), (event) => {
      records.push(presenceOf(valueOf(event), now()))
      return true
    })
    return newestPresence(records)
  }

  const within = (timeoutMs: number, { signal }: AbortOptions): { signal: AbortSignal } => ({
    signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])])
  })

  async function find(did: Did, options: AbortOptions): Promise<ContentOf<'presence'> | undefined> {
    const known = found.get(did)
    if (known !== undefined && known.untilMs > now()) return known.content
    if (libp2p.getPeers().length === 0) return undefined
    const content = (await get(keyFromDid(did), options))?.content
    options.signal?.throwIfAborted()
    if (found.size >= foundMax) found.clear()
    found.set(did, { content, untilMs: now() + foundForMs })
    return content
  }

  /** Over what the identity's other installations have said, and above every sequence that was seen. */
  async function publish(here: Whereabouts, options: AbortOptions): Promise<number> {
    const own = presenceOf(await store.get('own'), now())
    const before = newestPresence([own, await get(signer.publicKey, options)])
    const record = sealWithin(before, here)
    // A sequence is written down before anybody hears of it: after a crash it is not used for something else.
    await store.batch([{ type: 'put', key: 'own', value: record.bytes }])
    let replicas = 0
    await eachEvent(dht.put(presenceKey(signer.publicKey), record.bytes, within(putTimeoutMs, options)), (event) => {
      if (isPutConfirmed(event, record.bytes)) replicas++
      return true
    })
    return replicas
  }

  /** Leaves out installations that were not heard of for longest until it fits. */
  function sealWithin(before: PresenceRecord | undefined, here: Whereabouts): PresenceRecord {
    const nowMs = now()
    const others = (before?.content.peers ?? []).filter(
      ({ id, saidAt }) => id !== me && nowMs - saidAt < presenceLifeMs
    )
    const all = [{ id: me, addresses: here.addresses.slice(0, 8), saidAt: nowMs }, ...others].slice(0, 8)
    const mailboxes = here.mailboxes.length > 0 ? { mailboxes: here.mailboxes.slice(0, 3) } : {}
    const fields = {
      kind: 'presence',
      key: '',
      market: init.market,
      seq: before === undefined ? 0 : before.seq + 1
    } as const
    const times = { createdAtMs: nowMs, expiresAtMs: nowMs + presenceLifeMs }
    for (let count = all.length; ; count--) {
      try {
        const content = { peers: all.slice(0, count), ...mailboxes }
        return sealRecord({ ...fields, ...times, content }, signer) as PresenceRecord
      } catch (error) {
        if (!(error instanceof RecordError) || error.code !== 'too-large' || count === 1) throw error
      }
    }
  }

  async function tend(options: AbortOptions): Promise<number | undefined> {
    const here = init.whereabouts()
    const text = JSON.stringify(here)
    const isDue = said === undefined || said.text !== text || Math.abs(now() - said.atMs) >= renewEveryMs
    if (!isDue || here.addresses.length + here.mailboxes.length === 0) return undefined
    const atMs = now()
    // A query waits for its first peer until its time is over; there is no hurry to tell nobody.
    const replicas = libp2p.getPeers().length === 0 ? 0 : await publish(here, options)
    if (replicas > 0) said = { text, atMs }
    waitMs = replicas > 0 ? lookEveryMs : Math.min(lookEveryMs, waitMs * 4)
    return replicas
  }

  const soon = (): void => {
    inOrder(() => tend({ signal: stopping.signal })).catch(
      (error: unknown) => stopping.signal.aborted || init.onError(error)
    )
    lookLater()
  }
  const lookLater = (): void => {
    clearTimeout(timer)
    timer = setTimeout(soon, waitMs)
    timer.unref()
  }
  const events = ['self:peer:update', 'peer:identify'] as const
  for (const event of events) libp2p.addEventListener(event, soon)
  lookLater()

  return {
    find: (did, options = {}) => find(did, options),
    tend: (options = {}) => inOrder(() => tend(options)),
    async [Symbol.asyncDispose]() {
      stopping.abort()
      clearTimeout(timer)
      for (const event of events) libp2p.removeEventListener(event, soon)
      await inOrder(async () => {})
    }
  }
}
