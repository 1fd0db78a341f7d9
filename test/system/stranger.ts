import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNetwork, createPost, type Network, type NetworkInit, peerKeyFromSeed, type Post } from '@souk/network'
import {
  type AnyRecord,
  type ContentOf,
  type Did,
  encodeCanonical,
  type Identity,
  identityFromPhrase,
  keyFromDid,
  openKeystore
} from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import type { Person } from '@souk/devnet'

/** A peer that a test makes by hand from the packages below the node: it says what no honest program would. */
export interface Stranger extends AsyncDisposable {
  readonly network: Network
  readonly storage: Storage
  /** Puts a record that its own store would not refuse, and tells the network. */
  publish(record: AnyRecord): Promise<void>
}

export interface StrangerInit extends Partial<NetworkInit> {
  /** Speaks to others in place of the store's own records. */
  readonly getBytes?: Storage['records']['getBytes']
}

export async function startStranger({ getBytes, ...init }: StrangerInit): Promise<Stranger> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'souk-stranger-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const now = init.now ?? Date.now
  const storage = stack.use(await createStorage({ directory: folder, now }))
  const { records, sync } = storage
  const told = getBytes === undefined ? records : liar(records, getBytes)
  const network = stack.use(
    await createNetwork(
      {
        datastore: storage.datastore('libp2p'),
        privateKey: await peerKeyFromSeed(new Uint8Array(randomBytes(32))),
        records: told,
        sync
      },
      {
        role: 'node',
        listen: ['/ip4/127.0.0.1/tcp/0'],
        carry: { main: ['people', 'feedback', 'listings/hg'] },
        ...init
      }
    )
  )
  const owned = stack.move()
  return {
    network,
    storage,
    async publish(record) {
      await records.put(record, { own: true })
      await network.publish(record)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync()
  }
}

type Records = Storage['records']

/** The store, but for what it gives out. */
function liar(
  records: Records,
  getBytes: Records['getBytes']
): Pick<Records, 'put' | 'getBytes' | 'lastSequence'> & Records {
  return new Proxy(records, {
    get(target, name) {
      if (name === 'getBytes') return getBytes
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
}

/** Who a person is, from the keystore in their home. */
export async function identityOf({ home }: Person): Promise<Identity> {
  const [keystore, passphrase] = await Promise.all([
    readFile(join(home, 'keystore.json')),
    readFile(join(home, 'passphrase'), 'utf8')
  ])
  return identityFromPhrase(await openKeystore(new Uint8Array(keystore), passphrase.trim()))
}

/** Reads the store of a node that is not running. */
export async function withStoreOf<T>({ home }: Person, read: (storage: Storage) => Promise<T>): Promise<T> {
  await using storage = await createStorage({ directory: join(home, 'node', 'store'), now: Date.now })
  return await read(storage)
}

/** The signed events of an order that its party holds, as they travel. */
export function eventsOf(person: Person, order: string): Promise<Uint8Array[]> {
  return withStoreOf(person, async ({ orders }) => (await orders.events(order)).map(({ bytes }) => bytes))
}

export type Profile = ContentOf<'profile'>

/** What others know of a person, once a stranger has caught up with them. */
export async function knownProfile({ storage }: Stranger, did: Did): Promise<Profile> {
  const slot = { author: keyFromDid(did), kind: 'profile', key: '' } as const
  let head = await storage.records.head(slot)
  while (head === undefined) {
    await new Promise<void>((resolve) => {
      const off = storage.records.on('stored', () => {
        off()
        resolve()
      })
    })
    head = await storage.records.head(slot)
  }
  return head.content as Profile
}

/** The profile that a person published. */
export function profileOf(person: Person): Promise<Profile> {
  return withStoreOf(person, async ({ records }) => {
    const head = await records.head({ author: keyFromDid(person.did), kind: 'profile', key: '' })
    if (head?.kind !== 'profile' || head.content === null) throw new Error(`${person.name} has no profile`)
    return head.content
  })
}

/** The post of an identity, over a connection of its own: a second device, or a thief's. */
export async function openPost(
  { network, storage }: Stranger,
  identity: Identity
): Promise<Post & { letter(event: Uint8Array, to: { did: Did; reach: Profile }): Promise<'delivered' | 'at-relay'> }> {
  const known = new Map<Did, Profile>()
  const post = await createPost(
    {
      libp2p: network.libp2p,
      guard: network.guard,
      signer: identity.signer,
      messageKey: identity.messageKey,
      store: storage.sublevel('contacts', { values: 'bytes' })
    },
    {
      now: Date.now,
      onMessage: () => Promise.resolve(),
      seen: () => Promise.resolve(false),
      reachOf: async (did) => known.get(did) ?? Promise.reject(new Error('no profile')),
      onReach: () => undefined,
      onError: () => undefined
    }
  )
  return Object.assign(post, {
    letter: (event: Uint8Array, { did, reach }: { did: Did; reach: Profile }) => {
      known.set(did, reach)
      const payload = encodeCanonical({ v: 1, type: 'order-event', event })
      return post.deliver({ to: did, messageId: randomUUID(), payload })
    }
  })
}
