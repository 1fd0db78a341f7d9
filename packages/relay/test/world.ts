import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createFeedbackDirectory,
  createNetwork,
  createPost,
  type FeedbackDirectory,
  type Network,
  type NetworkInit,
  peerKeyFromSeed,
  type Post,
  type Reachable
} from '@souk/network'
import {
  type AnyRecord,
  type ContentOf,
  decodeCanonical,
  encodeStatement,
  sealRecord,
  type Signer,
  signerFromKey,
  signStatement,
  type SoukRecord,
  type Statement
} from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import { createRelay, type Relay, type RelayEvents, type RelayInit } from '../src/index.ts'

/** A folder of this test alone, removed with it. */
export async function createFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'souk-relay-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** A relay on free ports of 127.0.0.1. */
export function startRelay(init: RelayInit): Promise<Relay> {
  return createRelay({ listen: ['/ip4/127.0.0.1/tcp/0'], http: { port: 0 }, drainMs: 2000, ...init })
}

/** A network with its store on disk, as a node has them. */
export interface TestNode extends AsyncDisposable {
  readonly network: Network
  readonly storage: Storage
}

/** What a node finds when it is started again. */
export interface Install {
  readonly directory: string
  /** 32 bytes: who it is among peers. */
  readonly seed: Uint8Array
}

/** A node that carries the cameras and the people of `main`, and knows whom it is told. */
export async function startNode(init: Partial<NetworkInit> & { install?: Install } = {}): Promise<TestNode> {
  await using stack = new AsyncDisposableStack()
  const { install, ...rest } = init
  const directory = install?.directory ?? stack.use(await createFolder()).path
  const storage = stack.use(await createStorage({ directory, now: Date.now, search: 'off' }))
  const network = stack.use(
    await createNetwork(
      {
        datastore: storage.datastore('libp2p'),
        privateKey: await peerKeyFromSeed(install?.seed ?? new Uint8Array(randomBytes(32))),
        records: storage.records,
        sync: storage.sync
      },
      { role: 'node', listen: ['/ip4/127.0.0.1/tcp/0'], carry: { main: ['people', 'listings/el'] }, ...rest }
    )
  )
  const owned = stack.move()
  return { network, storage, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** A file system of its own in memory, of a size that can be filled. Only root may. */
export async function mountDisk({ mebibytes }: { mebibytes: number }): Promise<{ path: string } & AsyncDisposable> {
  const folder = await createFolder()
  const mounted = spawnSync(mounter, ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder.path])
  if (mounted.status !== 0) throw new Error('this user may not mount')
  return {
    path: folder.path,
    async [Symbol.asyncDispose]() {
      spawnSync(unmounter, [folder.path])
      await folder[Symbol.asyncDispose]()
    }
  }
}

export async function canMount(): Promise<boolean> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  return mountDisk({ mebibytes: 1 }).then(
    (disk) => disk[Symbol.asyncDispose]().then(() => true),
    () => false
  )
}

const [mounter, unmounter] = ['mount', 'umount'] as const

const checker = 'promtool'

/** Debian's package prometheus has it; tests that need it are skipped elsewhere. */
export const hasPromtool: boolean = spawnSync(checker, ['--version']).status === 0

/** What promtool has to complain about; empty when nothing. */
export function promtool(args: readonly string[], options: { input?: string; cwd?: string } = {}): string {
  const { status, stdout, stderr } = spawnSync(checker, args, { ...options, encoding: 'utf8' })
  return status === 0 ? stderr : `${stdout}${stderr}`
}

/** Resolves once the store holds the record. */
export async function holds({ storage }: { storage: Storage }, { id }: Pick<SoukRecord, 'id'>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const off = storage.records.on('stored', (stored) => {
    if (stored.some(({ record }) => record.id === id)) resolve()
  })
  if ((await storage.records.get(id)) !== undefined) resolve()
  await promise
  off()
}

/** Resolves once `ask` is true: asked now, and whenever something happens at `at`. The test's own time-out ends it otherwise. */
export async function until(at: Relay | TestNode, ask: () => boolean | Promise<boolean>): Promise<void> {
  let wake = Promise.withResolvers<void>()
  const look = (): void => {
    wake.resolve()
    wake = Promise.withResolvers()
  }
  const stop = 'network' in at ? watchNode(at, look) : watchRelay(at, look)
  try {
    for (let woken = wake.promise; !(await ask()); woken = wake.promise) await woken
  } finally {
    stop()
  }
}

const relayEvents = [
  'peer-connected',
  'peer-disconnected',
  'record-checked',
  'records-changed',
  'reservations-changed',
  'mailboxes-changed',
  'located-sets-changed',
  'state-changed',
  'problem'
] as const satisfies readonly (keyof RelayEvents)[]

function watchRelay(relay: Relay, look: () => void): () => void {
  const offs = relayEvents.map((name) => relay.on(name, look))
  return () => offs.forEach((off) => off())
}

const nodeEvents = ['peer-connected', 'peer-disconnected', 'record-checked', 'caught-up'] as const
const hostEvents = ['connection:close', 'connection:open', 'peer:identify', 'peer:update', 'self:peer:update'] as const

function watchNode({ network, storage }: TestNode, look: () => void): () => void {
  const offs = [...nodeEvents.map((name) => network.on(name, look)), storage.records.on('stored', look)]
  for (const name of hostEvents) network.libp2p.addEventListener(name, look)
  return () => {
    for (const off of offs) off()
    for (const name of hostEvents) network.libp2p.removeEventListener(name, look)
  }
}

export function newSigner(): Signer {
  const { d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return signerFromKey(new Uint8Array(Buffer.from(d ?? '', 'base64url')))
}

const content: ContentOf<'listing'> = {
  type: 'Offer',
  businessFunction: 'Sell',
  trade: 'fixed-price',
  title: 'Leica M6, body, checked by a repair shop',
  description: 'Bought in 1996. The shutter was cleaned this spring.',
  language: 'en',
  category: 'el',
  itemCondition: 'Used',
  unit: 'C62',
  quantity: 1,
  images: [],
  delivery: [{ kind: 'pick-up' }],
  settlements: [{ kind: 'none' }],
  tags: ['camera']
}

/** A listing in `listings/el` of `main`. @param options.workBits - What an idle relay asks for when left out. */
export function sealListing(
  signer: Signer,
  number = 1,
  options: { readonly workBits?: number } = {}
): SoukRecord<'listing'> {
  const createdAtMs = Date.now()
  return sealRecord(
    {
      kind: 'listing',
      market: 'main',
      key: `el.${number.toString().padStart(8, '0')}`,
      seq: 1,
      createdAtMs,
      expiresAtMs: createdAtMs + 20 * 86_400_000,
      content: { ...content, title: `${content.title} #${number}` }
    },
    signer,
    options
  )
}

/** A profile of `main` that says as little as it may. */
export function sealProfile(signer: Signer): SoukRecord<'profile'> {
  const createdAtMs = Date.now()
  const times = { createdAtMs, expiresAtMs: createdAtMs + 20 * 86_400_000 }
  const bytes = (): Uint8Array => new Uint8Array(randomBytes(32))
  const profile: ContentOf<'profile'> = {
    name: 'Ana',
    next: bytes(),
    peers: [],
    prekeys: [{ key: bytes(), expiresAt: times.expiresAtMs }]
  }
  return sealRecord({ kind: 'profile', market: 'main', key: '', seq: 1, ...times, content: profile }, signer)
}

/** The buyer's feedback on the seller after one direct trade, with a receipt that both signed. */
export function sealFeedback(
  { buyer, seller }: { buyer: Signer; seller: Signer },
  options: { workBits?: number } = {}
): SoukRecord<'feedback'> {
  const createdAtMs = Date.now()
  const order = new Uint8Array(randomBytes(32))
  const statement = encodeStatement({
    v: 1,
    type: 'closing',
    order,
    terms: new Uint8Array(randomBytes(32)),
    buyer: buyer.publicKey,
    seller: seller.publicKey,
    listing: linkTo(new Uint8Array(randomBytes(32))),
    price: { minor: '1250', currency: 'EUR' },
    settlement: 'direct',
    at: createdAtMs - 1000
  })
  const receipt = { statement, buyerSig: signStatement(statement, buyer), sellerSig: signStatement(statement, seller) }
  return sealRecord(
    {
      kind: 'feedback',
      market: 'main',
      key: Buffer.from(order).toString('hex'),
      seq: 0,
      createdAtMs,
      expiresAtMs: createdAtMs + 700 * 86_400_000,
      content: { subject: seller.publicKey, role: 'buyer', stars: 5, text: 'Arrived as described.', receipt }
    },
    buyer,
    options
  )
}

/** A link as canonical CBOR has it: tag 42 over CIDv1, dag-cbor, SHA-256. */
function linkTo(digest: Uint8Array): Statement['listing'] {
  const head = [0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01, 0x71, 0x12, 0x20]
  return decodeCanonical(new Uint8Array([...head, ...digest]), { bytesMax: 64 }) as Statement['listing']
}

/** Stores one's own record and tells the network of it, as a node's publisher does. */
export async function publish({ storage, network }: TestNode, record: AnyRecord): Promise<void> {
  await storage.records.put(record, { own: true })
  await network.publish(record)
}

/** The directory of a node, as a node has it. */
export function directoryAt({ network: { libp2p, guard }, storage }: TestNode): Promise<FeedbackDirectory> {
  const store = storage.sublevel('feedback', { values: 'bytes' })
  return createFeedbackDirectory({ libp2p, guard, dht: libp2p.services.dht, store })
}

export interface PostOf {
  readonly signer: Signer
  readonly messageKey?: Uint8Array
  /** What is known of everybody else. */
  readonly reach?: Reachable
  readonly onMessage?: (payload: Uint8Array) => void
  readonly onReach?: () => void
}

/** Somebody's letters at a node. */
export function postAt({ network: { libp2p, guard }, storage }: TestNode, init: PostOf): Promise<Post> {
  const { signer, messageKey = new Uint8Array(randomBytes(32)), reach } = init
  return createPost(
    { libp2p, guard, signer, messageKey, store: storage.sublevel('post', { values: 'bytes' }) },
    {
      now: Date.now,
      onMessage: async ({ payload }) => init.onMessage?.(payload),
      reachOf: async () => reach ?? Promise.reject(new Error('no profile')),
      onReach: init.onReach ?? (() => {}),
      onError: () => {}
    }
  )
}
