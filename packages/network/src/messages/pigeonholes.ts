/**
 * What a mailbox server keeps: one pigeonhole a recipient, with bounds on each and on all.
 *
 * Conversations and first contacts are bounded apart, so that strangers cannot crowd out those who are known; among
 * strangers more work crowds out less, and of those from one block of addresses, when they are the most, one makes
 * room for somebody from elsewhere. The last quarter of a pigeonhole is for conversations of which little waits, the
 * last quarter of the whole for recipients for whom little waits: fifty identities that stuff one or many leave it.
 *
 * Keys, all hexadecimal: `e/<recipient>/<arrival>/<digest>` the envelope; `d/<recipient>/<digest>` its {@link Note};
 * `b/<recipient>/<key>/<digest>` of a conversation; `q/<recipient>/<bits>/<digest>` of strangers, least work first;
 * `x/<expiry>/<recipient>/<digest>`; `r/<recipient>` when it was opened last; `k/<recipient>/<key>` who is let in;
 * `secret`, so that what is noted of addresses tells nobody which they are.
 */
import { bytesToHex, concatBytes, hexToBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { decodeCanonical, encodeCanonical } from '@souk/records'
import { Shares } from '../guard/shares.ts'
import { ProtocolError } from '../protocol-error.ts'
import { sha256 } from '../sha256.ts'
import { createQueue, type KeyValueOperation, type KeyValueStore, prefixRange, timeKey } from '../store.ts'
import type { Envelope, UncheckedEnvelope } from './envelope.ts'
import { fewLetters, idleMailboxMs, type MailboxLimits, reserveShare, strangersReadMax } from './limits.ts'
import type { MailboxPage } from './mailbox-wire.ts'

/** Recipients, keys and digests are 32 bytes. */
export interface Pigeonholes {
  /**
   * Verifies the signature of what finds a place, and of nothing else.
   *
   * @param from.block - Of the addresses that brought it.
   * @throws {@link ProtocolError} `unknown-recipient`, `work-missing`, `sender-full`, `mailbox-full`, `store-full` or
   * `bad-signature`.
   */
  put(envelope: UncheckedEnvelope, from: { readonly block: string }): Promise<'kept' | 'known'>
  has(recipient: Uint8Array): boolean
  /** Makes a pigeonhole, or keeps it for longer. @throws {@link ProtocolError} `store-full` when all are taken. */
  open(recipient: Uint8Array): Promise<void>
  page(recipient: Uint8Array, options: { after: Uint8Array | undefined; limit: number }): Promise<MailboxPage>
  get(recipient: Uint8Array, digest: Uint8Array): Promise<Uint8Array | undefined>
  delete(recipient: Uint8Array, digests: readonly Uint8Array[]): Promise<void>
  /** Replaces the conversations that are let in without work. */
  admit(recipient: Uint8Array, keys: readonly Uint8Array[]): Promise<void>
  /** Gives a pigeonhole up, with what is in it. */
  close(recipient: Uint8Array): Promise<void>
  /** Drops expired envelopes, and pigeonholes that nobody opens any more. */
  sweep(): Promise<void>
  held(): Held
}

/** What all pigeonholes hold together. */
export interface Held {
  readonly recipients: number
  readonly envelopes: number
  readonly bytes: number
}

export async function createPigeonholes(
  components: { store: KeyValueStore },
  init: { now: () => number; limits: MailboxLimits }
): Promise<Pigeonholes> {
  const { store } = components
  const { limits, now } = init
  const inOrder = createQueue()
  const secret = await loadSecret(store)
  const openedAt = await loadOpened(store)
  const tallies = new Map<string, Tally>()
  /** By recipient, first contacts too. */
  const bytesHeld = new Shares()
  /** First contacts of those who were written to last; least work first. */
  const strangersRead = new Map<string, readonly Stranger[]>()
  let envelopesHeld = 0
  let arrivals = 0

  function tally(recipient: string, note: Note, sign: 1 | -1): void {
    bytesHeld.add(recipient, sign * note.bytes)
    envelopesHeld += sign
    if (isStrangers(note)) return
    const before = tallies.get(recipient) ?? emptyTally
    const after = { count: before.count + sign, bytes: before.bytes + sign * note.bytes }
    if (after.count === 0) tallies.delete(recipient)
    else tallies.set(recipient, after)
  }

  for await (const [key, value] of store.iterator(prefixRange('d/'))) {
    tally(key.split('/')[1] ?? '', decodeNote(value), 1)
  }

  async function put(envelope: UncheckedEnvelope, { block }: { block: string }): Promise<'kept' | 'known'> {
    const recipient = bytesToHex(envelope.to)
    const digest = bytesToHex(envelope.digest)
    if (!openedAt.has(recipient)) throw new ProtocolError('unknown-recipient', 'this recipient has no mailbox here')
    if ((await store.get(`d/${recipient}/${digest}`)) !== undefined) return 'known'
    const known = (await store.get(`k/${recipient}/${bytesToHex(envelope.by)}`)) !== undefined
    const from = bytesToHex(sha256(concatBytes(secret, utf8ToBytes(block))).subarray(0, 8))
    const leaving = known ? undefined : await strangersPlace(recipient, envelope, from)
    if (known) await checkConversation(recipient, envelope)
    checkRoom(recipient, envelope)
    const checked = envelope.check()
    if (leaving !== undefined) await remove(recipient, leaving)
    await insert({ recipient, digest, known, from }, checked)
    return 'kept'
  }

  /** The last quarter is for recipients with less than an even share: no other may fill it. */
  function checkRoom(recipient: string, { sizeBytes }: UncheckedEnvelope): void {
    const evenBytes = limits.bytesMax / Math.max(1, limits.recipientsMax)
    const hasLittle = bytesHeld.of(recipient) < evenBytes
    const most = limits.bytesMax * (hasLittle ? 1 : 1 - reserveShare)
    if (bytesHeld.total + sizeBytes > most) throw new ProtocolError('store-full', 'all mailboxes are full')
  }

  /** @returns The digest of the stranger's envelope that gives way, if one must. */
  async function strangersPlace(
    recipient: string,
    { workBits }: UncheckedEnvelope,
    from: string
  ): Promise<string | undefined> {
    if (workBits < limits.firstContactBits) {
      throw new ProtocolError('work-missing', `a first contact needs ${limits.firstContactBits} bits of work`)
    }
    const strangers = await strangersOf(recipient)
    if (strangers.length < limits.requestsPerRecipientMax) return undefined
    const [least] = strangers
    if (least !== undefined && least.bits < workBits) return least.digest
    const shares = new Shares()
    for (const stranger of strangers) shares.add(stranger.from, 1)
    const crowding = shares.crowding(from)
    const leaving = strangers.find((stranger) => stranger.from === crowding)
    if (leaving !== undefined && shares.of(leaving.from) > shares.of(from) + 1) return leaving.digest
    throw new ProtocolError('mailbox-full', 'as many strangers as can be kept have written already, with as much work')
  }

  /** Read once: whoever writes letter after letter would make the same hundred rows be read for each. */
  async function strangersOf(recipient: string): Promise<readonly Stranger[]> {
    const known = strangersRead.get(recipient) ?? (await readStrangers(store, recipient))
    strangersRead.delete(recipient)
    strangersRead.set(recipient, known)
    const [oldest] = strangersRead.keys()
    if (strangersRead.size > strangersReadMax && oldest !== undefined) strangersRead.delete(oldest)
    return known
  }

  function changeStrangers(recipient: string, change: (all: readonly Stranger[]) => readonly Stranger[]): void {
    const known = strangersRead.get(recipient)
    if (known !== undefined) strangersRead.set(recipient, change(known))
  }

  async function checkConversation(recipient: string, { by, sizeBytes }: UncheckedEnvelope): Promise<void> {
    const theirs = await tallyConversation(store, `b/${recipient}/${bytesToHex(by)}/`)
    const all = tallies.get(recipient) ?? emptyTally
    if (!hasRoom(theirs, sizeBytes, limits.envelopesPerConversationMax, limits.bytesPerConversationMax)) {
      throw new ProtocolError('sender-full', `${theirs.count} envelopes of this conversation wait already`)
    }
    const share = theirs.count < fewLetters ? 1 : 1 - reserveShare
    const { envelopesPerRecipientMax, bytesPerRecipientMax } = limits
    if (!hasRoom(all, sizeBytes, envelopesPerRecipientMax * share, bytesPerRecipientMax * share)) {
      throw new ProtocolError('mailbox-full', `${all.count} envelopes wait in this mailbox already`)
    }
  }

  async function insert(
    { recipient, digest, known, from }: { recipient: string; digest: string; known: boolean; from: string },
    { bytes, by, workBits }: Envelope
  ): Promise<void> {
    const at = now()
    const arrival = `${timeKey(at)}.${(arrivals++ % 1_000_000).toString().padStart(6, '0')}`
    const expiry = timeKey(at + limits.lifeMs)
    const sender = known
      ? `b/${recipient}/${bytesToHex(by)}/${digest}`
      : `q/${recipient}/${twoDigits(workBits)}/${digest}`
    const note: Note = { arrival, expiry, sender, bytes: bytes.length }
    await store.batch([
      { type: 'put', key: `e/${recipient}/${arrival}/${digest}`, value: bytes },
      { type: 'put', key: `d/${recipient}/${digest}`, value: encodeCanonical(note) },
      { type: 'put', key: sender, value: encodeCanonical(known ? bytes.length : from) },
      { type: 'put', key: `x/${expiry}/${recipient}/${digest}`, value: nothing }
    ])
    tally(recipient, note, 1)
    if (!known) changeStrangers(recipient, (all) => [...all, { bits: workBits, digest, from }].toSorted(byWork))
  }

  async function noteOf(recipient: string, digest: string): Promise<Note | undefined> {
    const bytes = await store.get(`d/${recipient}/${digest}`)
    return bytes && decodeNote(bytes)
  }

  async function remove(recipient: string, digest: string): Promise<void> {
    const note = await noteOf(recipient, digest)
    if (note === undefined) return
    const { arrival, expiry, sender } = note
    const keys = [
      `e/${recipient}/${arrival}/${digest}`,
      `d/${recipient}/${digest}`,
      sender,
      `x/${expiry}/${recipient}/${digest}`
    ]
    await store.batch(keys.map((key) => ({ type: 'del', key })))
    tally(recipient, note, -1)
    if (isStrangers(note)) changeStrangers(recipient, (all) => all.filter((one) => one.digest !== digest))
  }

  async function open(recipient: string): Promise<void> {
    if (!openedAt.has(recipient) && openedAt.size >= limits.recipientsMax) await giveUpIdle()
    openedAt.set(recipient, now())
    await store.batch([{ type: 'put', key: `r/${recipient}`, value: encodeCanonical(now()) }])
  }

  /** An empty mailbox that nobody has opened for a week gives way: identities that only take places cost nothing. */
  async function giveUpIdle(): Promise<void> {
    const idleSinceMs = now() - idleMailboxMs
    const idle = [...openedAt].find(([recipient, atMs]) => atMs <= idleSinceMs && bytesHeld.of(recipient) === 0)
    if (idle === undefined) throw new ProtocolError('store-full', 'all mailboxes are taken')
    await giveUp(idle[0])
  }

  async function page(
    recipient: string,
    { after, limit }: { after: Uint8Array | undefined; limit: number }
  ): Promise<MailboxPage> {
    const prefix = `e/${recipient}/`
    const last = after && (await noteOf(recipient, bytesToHex(after)))
    const { gte, lt } = prefixRange(prefix)
    const range = last ? { gt: `${prefix}${last.arrival}0`, lt } : { gte, lt }
    const digests: Uint8Array[] = []
    for await (const key of store.keys({ ...range, limit: limit + 1 })) {
      digests.push(hexToBytes(key.slice(key.lastIndexOf('/') + 1)))
    }
    return { digests: digests.slice(0, limit), more: digests.length > limit }
  }

  async function admit(recipient: string, keys: readonly Uint8Array[]): Promise<void> {
    const prefix = `k/${recipient}/`
    const wanted = new Set(keys.map((key) => prefix + bytesToHex(key)))
    const operations: KeyValueOperation[] = []
    for await (const key of store.keys(prefixRange(prefix))) {
      if (!wanted.delete(key)) operations.push({ type: 'del', key })
    }
    for (const key of wanted) operations.push({ type: 'put', key, value: nothing })
    await store.batch(operations)
  }

  async function sweep(): Promise<void> {
    for await (const key of store.keys({ gte: 'x/', lt: `x/${timeKey(now())}` })) {
      const [, , recipient = '', digest = ''] = key.split('/')
      await remove(recipient, digest)
    }
    for (const [recipient, atMs] of openedAt) if (atMs + limits.recipientLifeMs <= now()) await giveUp(recipient)
  }

  async function giveUp(recipient: string): Promise<void> {
    openedAt.delete(recipient)
    await admit(recipient, [])
    await store.batch([{ type: 'del', key: `r/${recipient}` }])
    for await (const key of store.keys(prefixRange(`d/${recipient}/`))) await remove(recipient, key.slice(-64))
  }

  return {
    put: (envelope, from) => inOrder(() => put(envelope, from)),
    has: (recipient) => openedAt.has(bytesToHex(recipient)),
    open: (recipient) => inOrder(() => open(bytesToHex(recipient))),
    page: (recipient, options) => page(bytesToHex(recipient), options),
    async get(recipient, digest) {
      const [hole, name] = [bytesToHex(recipient), bytesToHex(digest)]
      const note = await noteOf(hole, name)
      return note && store.get(`e/${hole}/${note.arrival}/${name}`)
    },
    delete: (recipient, digests) =>
      inOrder(async () => {
        for (const digest of digests) await remove(bytesToHex(recipient), bytesToHex(digest))
      }),
    admit: (recipient, keys) => inOrder(() => admit(bytesToHex(recipient), keys)),
    close: (recipient) => inOrder(() => giveUp(bytesToHex(recipient))),
    sweep: () => inOrder(sweep),
    held: () => ({ recipients: openedAt.size, envelopes: envelopesHeld, bytes: bytesHeld.total })
  }
}

/** Of conversations; strangers are bounded by their number. */
interface Tally {
  readonly count: number
  readonly bytes: number
}

/** What is known of an envelope without reading it. */
interface Note {
  readonly arrival: string
  readonly expiry: string
  /** The key that counts it among its sender's. */
  readonly sender: string
  readonly bytes: number
}

const emptyTally: Tally = { count: 0, bytes: 0 }

const nothing = new Uint8Array()

/** Notes are this server's own; two keys and three times fit easily. */
const noteBytesMax = 512

function decodeNote(bytes: Uint8Array): Note {
  return decodeCanonical(bytes, { bytesMax: noteBytesMax }) as Note
}

function twoDigits(bits: number): string {
  return bits.toString().padStart(2, '0')
}

function isStrangers({ sender }: Note): boolean {
  return sender.startsWith('q/')
}

function hasRoom(held: Tally, nextBytes: number, countMax: number, bytesMax: number): boolean {
  return held.count < countMax && held.bytes + nextBytes <= bytesMax
}

async function tallyConversation(store: KeyValueStore, prefix: string): Promise<Tally> {
  let { count, bytes } = emptyTally
  for await (const [, value] of store.iterator(prefixRange(prefix))) {
    count++
    bytes += decodeNumber(value)
  }
  return { count, bytes }
}

/** First contacts of one recipient, least work first. */
async function readStrangers(store: KeyValueStore, recipient: string): Promise<Stranger[]> {
  const strangers: Stranger[] = []
  for await (const [key, value] of store.iterator(prefixRange(`q/${recipient}/`))) {
    const [, , bits, digest = ''] = key.split('/')
    strangers.push({ bits: Number(bits), digest, from: decodeCanonical(value, { bytesMax: 32 }) as string })
  }
  return strangers
}

interface Stranger {
  readonly bits: number
  readonly digest: string
  /** A name for its block of addresses. */
  readonly from: string
}

/** As their keys are sorted. */
function byWork(a: Stranger, b: Stranger): number {
  return a.bits - b.bits || (a.digest < b.digest ? -1 : 1)
}

async function loadSecret(store: KeyValueStore): Promise<Uint8Array> {
  const known = await store.get('secret')
  if (known !== undefined) return known
  const secret = randomBytes(32)
  await store.batch([{ type: 'put', key: 'secret', value: secret }])
  return secret
}

async function loadOpened(store: KeyValueStore): Promise<Map<string, number>> {
  const openedAt = new Map<string, number>()
  for await (const [key, value] of store.iterator(prefixRange('r/'))) openedAt.set(key.slice(2), decodeNumber(value))
  return openedAt
}

function decodeNumber(bytes: Uint8Array): number {
  return decodeCanonical(bytes, { bytesMax: 9 }) as number
}
