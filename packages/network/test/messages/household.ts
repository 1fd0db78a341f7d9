import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import type { Did } from '@souk/records'
import { createMailbox, type Mailbox } from '../../src/messages/mailbox.ts'
import { createPost, type Post } from '../../src/messages/post.ts'
import type { Reachable } from '../../src/messages/devices.ts'
import type { ReceivedMessage } from '../../src/messages/messages.ts'
import { type KeyValueStore, prefixRange } from '../../src/store.ts'
import { createPeer, memoryStore, type Peer, recordingGuard } from '../peers.ts'
import { type Persona, persona } from './correspondent.ts'

const day = 86_400_000

/** What everybody reads of everybody: profiles, as gossip would have brought them. */
export interface Town {
  readonly profiles: Map<Did, Reachable>
  now: number
}

export function createTown(): Town {
  return { profiles: new Map(), now: 1_790_000_000_000 }
}

/** One installation of somebody. */
export interface Home extends AsyncDisposable {
  readonly who: Persona
  readonly peer: Peer
  readonly post: Post
  readonly store: KeyValueStore
  /** What it is started again from. */
  readonly install: Pick<HomeInit, 'who' | 'store' | 'privateKey'>
  readonly received: ReceivedMessage[]
  readonly delivered: string[]
  readonly problems: string[]
  /** Resolves when `condition` holds; looked at whenever something happens to this installation. */
  until(condition: () => boolean): Promise<void>
  /** Writes this installation into its identity's profile, beside the others that are there. */
  publish(): void
  write(to: Persona, messageId: string, text?: string): Promise<'delivered' | 'at-relay'>
}

export interface HomeInit {
  readonly who?: Persona
  readonly store?: KeyValueStore
  readonly privateKey?: PrivateKey
  readonly relays?: readonly Peer[]
  /** Relays that have introduced themselves before the post is opened. */
  readonly met?: readonly Peer[]
  /** Profiles as this one knows them, in place of the town's newest. */
  readonly profiles?: Map<Did, Reachable>
  readonly locate?: (did: Did) => Promise<Pick<Reachable, 'peers' | 'mailboxes'> | undefined>
}

export async function openHome(town: Town, init: HomeInit = {}): Promise<Home> {
  const { who = persona(), store = memoryStore(), profiles = town.profiles, relays = [] } = init
  const privateKey = init.privateKey ?? (await generateKeyPair('Ed25519'))
  const peer = await createPeer({ privateKey })
  for (const relay of init.met ?? []) {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    peer.addEventListener('peer:identify', resolve, { once: true })
    await peer.dial(relay.getMultiaddrs())
    await promise
  }
  const log = { received: [] as ReceivedMessage[], delivered: [] as string[], problems: [] as string[] }
  const waiting = new Set<() => void>()
  const happened = (): void => waiting.forEach((look) => look())
  const until = async (condition: () => boolean): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => (condition() ? resolve() : undefined)
    waiting.add(look)
    look()
    await promise
    waiting.delete(look)
  }
  const post = await createPost(
    { libp2p: peer, guard: recordingGuard(), signer: who.signer, messageKey: who.messageKey, store },
    {
      now: () => town.now,
      workBits: 4,
      ...(init.locate && { locate: init.locate }),
      reachOf: async (did) => profiles.get(did) ?? Promise.reject(new Error(`no profile of ${did}`)),
      profile: async () => new TextEncoder().encode(who.did),
      onProfile: (_record, from) => {
        log.problems.push('profile')
        const newest = town.profiles.get(from)
        if (newest !== undefined) profiles.set(from, newest)
        happened()
      },
      seen: async ({ from, messageId }) => log.received.some((one) => one.from === from && one.messageId === messageId),
      onMessage: async (message) => {
        log.received.push(message)
        happened()
      },
      onDelivered: async ({ messageId }) => {
        log.delivered.push(messageId)
        happened()
      },
      onReach: () => happened(),
      onError: (error) => {
        log.problems.push((error as { code?: string }).code ?? String(error))
        happened()
      }
    }
  )
  const publish = (): void => {
    const id = peer.peerId.toString()
    const before = town.profiles.get(who.did) ?? { peers: [], prekeys: [] }
    const addresses = peer.getMultiaddrs().map(String)
    town.profiles.set(who.did, {
      peers: [{ id, addresses }, ...before.peers.filter((one) => one.id !== id)],
      prekeys: [
        ...post.prekeys({ expiresAtMs: town.now + 30 * day }),
        ...before.prekeys.filter((one) => one.peer !== id)
      ],
      mailboxes: relays.map((relay) => relay.getMultiaddrs()[0]?.toString() ?? '')
    })
  }
  for (const relay of relays) await peer.dial(relay.getMultiaddrs())
  await until(() => post.mailboxes().length === relays.length)
  publish()
  const write: Home['write'] = ({ did }, messageId, text = messageId) =>
    post.deliver({ to: did, messageId, payload: new TextEncoder().encode(text) })
  let open = true
  return {
    who,
    peer,
    post,
    store,
    install: { who, store, privateKey },
    ...log,
    until,
    publish,
    write,
    async [Symbol.asyncDispose]() {
      if (!open) return
      open = false
      await post[Symbol.asyncDispose]()
      await peer.stop()
    }
  }
}

/** A relay with a mailbox. */
export interface Relay extends AsyncDisposable {
  readonly peer: Peer
  readonly mailbox: Mailbox
  /** Rows of its store: letters of strangers (`q`), of conversations (`b`), for somebody (`d`); whom one lets in (`k`). */
  count(rows: 'q' | 'b' | `d/${string}` | `k/${string}`): Promise<number>
  forgetContacts(): Promise<void>
}

/** @param init.refusals - Questions that it refuses at first. */
export async function openRelay(town: Town, init: { readonly refusals?: number } = {}): Promise<Relay> {
  const peer = await createPeer()
  const store = memoryStore()
  let refusals = init.refusals ?? 0
  const guard = { ...recordingGuard(), allow: () => refusals-- <= 0 }
  const mailbox = await createMailbox(
    { libp2p: peer, guard, store },
    { now: () => town.now, limits: { firstContactBits: 4 } }
  )
  return {
    peer,
    mailbox,
    async count(rows) {
      const found: string[] = []
      for await (const key of store.keys(prefixRange(`${rows}/`))) found.push(key)
      return found.length
    },
    forgetContacts: async () => {
      const gone: string[] = []
      for await (const key of store.keys(prefixRange('k/'))) gone.push(key)
      await store.batch(gone.map((key) => ({ type: 'del', key })))
    },
    async [Symbol.asyncDispose]() {
      await mailbox[Symbol.asyncDispose]()
      await peer.stop()
    }
  }
}
