/** Attacks on the protocols of our own: what a peer may ask of a relay or a node, asked without end, or for nothing. */
import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { recordDigest, type Signer, workBitsMin } from '@souk/records'
import {
  decodeChanges,
  decodePartitions,
  decodeReconciled,
  encodeQuestion,
  type Scope
} from '../../packages/network/src/catch-up/frames.ts'
import { encodeQuestion as encodeSetQuestion } from '../../packages/network/src/feedback/located-set.ts'
import { writeFirstEnvelope } from '../../packages/network/src/messages/envelope.ts'
import { createMailboxClient } from '../../packages/network/src/messages/mailbox-client.ts'
import { encodeMailboxQuestion } from '../../packages/network/src/messages/mailbox-wire.ts'
import { MessageWriter, readMessage } from '../../packages/negentropy/src/message.ts'
import { feedbackOf } from '../../packages/network/test/feedback/trade.ts'
import type { Attack, AttackContext } from './attacks.ts'
import { createSigner } from './listings.ts'
import { connectHostile, type Hostile } from './wire.ts'

const protocols = {
  sync: '/souk/sync/1',
  sets: '/souk/located-set/1',
  mail: '/souk/mailbox/1',
  dht: '/souk/kad/1.0.0',
  messages: '/souk/message/1'
} as const

const scope: Scope = { market: 'main', channels: ['listings/hg'] }
const dayMs = 86_400_000

/** A conversation in turn: the next question, given the last answer, which the first one has none of. */
type Interview = (answer: Uint8Array | undefined) => Uint8Array

interface Siege {
  readonly protocol: string
  /** One for each identity, begun anew whenever the victim has ended a stream. */
  readonly interview: (identity: number) => Interview
  /** `once`: a new stream for each question. */
  readonly stream: 'kept' | 'once'
  /** Questions that took signatures or work to make, and are worth nothing a second time. */
  readonly made?: number
}

/** What catch-up answers when it will not go on; no answer of another protocol begins with it. */
const refusal = 0xff

/**
 * Each identity asks as fast as it is answered, until the victim ends it or the time is over. What counts as sent is
 * what was answered.
 */
function siege(make: () => Siege | Promise<Siege>): Attack {
  return async (context) => {
    const ready = await make()
    context.onMade(ready.made ?? 0)
    return async () => {
      const results = await Promise.allSettled(
        context.from.map((from, identity) => besiege({ from, identity }, ready, context))
      )
      const admitted = results.filter((result) => result.status === 'fulfilled')
      return { admitted: admitted.length, cut: admitted.filter(({ value }) => value).length }
    }
  }
}

async function besiege(
  { from, identity }: { from: string; identity: number },
  { protocol, interview, stream: kind }: Siege,
  { target, signal, onSent }: AttackContext
): Promise<boolean> {
  await using hostile = await connectHostile(target.tcp, { from, signal })
  let ask = interview(identity)
  while (isOpen(hostile) && !signal.aborted) {
    try {
      const stream = await hostile.connection.newStream(protocol, { signal })
      const frames = lpStream(stream)
      try {
        let answer: Uint8Array | undefined
        for (;;) {
          await frames.write(ask(answer), { signal })
          answer = (await frames.read({ signal })).slice()
          if (answer[0] !== refusal) onSent(1)
          if (kind === 'once') break
        }
      } finally {
        stream.abort(new Error('on to the next'))
      }
    } catch {
      if (kind === 'kept') ask = interview(identity)
      await setImmediate()
    }
  }
  return !isOpen(hostile)
}

function isOpen({ connection }: Hostile): boolean {
  return connection.status === 'open'
}

/** Each identity opens as many streams as it gets, says `first` on each, and reads nothing; again when they are ended. */
function leave(protocol: string, first: Uint8Array | undefined): Attack {
  return async ({ from, target, signal, onSent }) =>
    async () => {
      const results = await Promise.allSettled(
        from.map(async (address) => {
          await using hostile = await connectHostile(target.tcp, { from: address, signal })
          while (isOpen(hostile) && !signal.aborted) {
            try {
              const stream = await hostile.connection.newStream(protocol, { signal })
              stream.pause()
              if (first !== undefined) await lpStream(stream).write(first, { signal })
              onSent(1)
            } catch {
              await setImmediate()
            }
          }
          return !isOpen(hostile)
        })
      )
      const admitted = results.filter((result) => result.status === 'fulfilled')
      return { admitted: admitted.length, cut: admitted.filter(({ value }) => value).length }
    }
}

/** The day on which the relay's listings expire. */
function today(): number {
  return Math.floor((Date.now() + dayMs - 1000) / dayMs)
}

function reconcile(message: Uint8Array): Uint8Array {
  return encodeQuestion({
    kind: 'reconcile',
    partition: { market: 'main', channel: 'listings/hg', day: today() },
    message
  })
}

interface Stretch {
  readonly fromMs: number
  readonly toMs: number
}

/** Ranges, each with a fingerprint that is wrong, over a stretch of time: 2,040 are as many as a message may have. */
function bomb(ranges: number, { fromMs, toMs }: Stretch): Uint8Array {
  const bytes: number[] = [0x61]
  let lastMs = 0
  for (let range = 0; range < ranges; range++) {
    const atMs = Math.floor(fromMs + ((range + 1) * (toMs - fromMs)) / ranges)
    bytes.push(...varint(atMs - lastMs + 1), 0, 1, ...Array.from({ length: 16 }, (_, at) => (range * 7 + at) & 255))
    lastMs = atMs
  }
  return Uint8Array.from(bytes)
}

const lastMinute = (): Stretch => ({ fromMs: Date.now() - 60_000, toMs: Date.now() })

/** Cuts all that the answer leaves open as fine as anybody may, and says of every part that it is another. */
function askEverFiner(): Interview {
  return (answer) =>
    reconcile(answer === undefined ? bomb(16, { fromMs: 0, toMs: Date.now() }) : cutFiner(decodeReconciled(answer)))
}

function cutFiner(message: Uint8Array): Uint8Array {
  const writer = new MessageWriter({ frameBytesMax: 2 ** 20, rangesMax: 2048 })
  let fromMs = 0
  for (const { kind, upper } of readMessage(message, {
    messageBytesMax: Infinity,
    rangesMax: Infinity,
    idsMax: Infinity
  })) {
    const toMs = Math.min(upper.timestampMs, Date.now())
    if (kind !== 'fingerprint') writer.skip(upper)
    else {
      for (const atMs of timesWithin({ fromMs, toMs })) {
        writer.putFingerprint({ timestampMs: atMs, idPrefix: new Uint8Array(0) }, wrong)
      }
      writer.putFingerprint(upper, wrong)
    }
    fromMs = toMs
  }
  return writer.finish()
}

/** Fifteen at most, which make sixteen parts. */
function timesWithin({ fromMs, toMs }: Stretch): number[] {
  const times = Array.from({ length: 15 }, (_, at) => Math.floor(fromMs + ((at + 1) * (toMs - fromMs)) / 16))
  return [...new Set(times)].filter((atMs) => atMs > fromMs && atMs < toMs)
}

const wrong = new Uint8Array(16)

function varint(value: number): number[] {
  const digits = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) + 128)
  return digits
}

/** An empty list of ids over everything: whoever answers names all that it has. */
const listOfNothing = Uint8Array.of(0x61, 0, 0, 2, 0)

/** Asks for the last page of changes, then for the records in it, again and again. */
function askAgainFor(count: number): Interview {
  let digests: Uint8Array[] | undefined
  let place: { epoch: string; sequence: number } | undefined
  return (answer) => {
    if (digests !== undefined) return encodeQuestion({ kind: 'want', digests })
    if (answer === undefined) return encodeQuestion({ kind: 'partitions', scope, summary: new Uint8Array(16) })
    if (place === undefined) {
      place = decodePartitions(answer, scope)
      return encodeQuestion({ kind: 'changes', scope, epoch: place.epoch, after: 0 })
    }
    digests = decodeChanges(answer).digests.slice(0, count)
    return encodeQuestion({ kind: 'want', digests })
  }
}

/** Follows the change log from its beginning, for ever. */
function followLog(): Interview {
  let epoch: string | undefined
  return (answer) => {
    if (answer === undefined) return encodeQuestion({ kind: 'partitions', scope, summary: new Uint8Array(16) })
    epoch ??= decodePartitions(answer, scope).epoch
    return encodeQuestion({ kind: 'changes', scope, epoch, after: 0 })
  }
}

/**
 * Feedback on trades that somebody made up with himself: three signatures each, of keys made for as few as will do, and
 * the work without which nobody looks at them.
 */
function praises(count: number, { perSubject }: { perSubject: number }): { digest: Uint8Array; bytes: Uint8Array }[] {
  const text = 'Perfect. '.repeat(60).trim()
  const buyer = createSigner()
  const sellers = Array.from({ length: Math.ceil(count / perSubject) }, createSigner)
  return Array.from({ length: count }, (_, at) => {
    const { id, bytes } = feedbackOf({
      buyer,
      seller: sellers[Math.floor(at / perSubject)] as Signer,
      text,
      workBits: workBitsMin
    })
    return { digest: recordDigest(id), bytes }
  })
}

/** A PUT_VALUE as kad-dht reads it, of a key and a value. */
function dhtPut(key: Uint8Array, value: Uint8Array): Uint8Array {
  const record = Buffer.concat([field(1, key), field(2, value)])
  return new Uint8Array(Buffer.concat([Uint8Array.of(0x08, 0), field(2, key), field(3, record)]))
}

function field(number: number, bytes: Uint8Array): Uint8Array {
  const length: number[] = []
  for (let rest = bytes.length; rest > 0; rest >>>= 7) length.push((rest & 127) + (rest > 127 ? 128 : 0))
  return Buffer.concat([Uint8Array.of((number << 3) | 2, ...length), bytes])
}

function valueKey(digest: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([Buffer.from('/souk/'), digest]))
}

function takeTurns<T>(list: readonly T[], identity: number): () => T {
  let at = identity * 97
  return () => list[at++ % list.length] as T
}

/** Someone with a mailbox at the victim, who will be written to. */
async function openMailbox(target: string): Promise<Uint8Array> {
  const signer = createSigner()
  await using owner = await connectHostile(target, { from: '127.250.0.1' })
  const [peer] = owner.libp2p.getPeers()
  if (peer === undefined) throw new Error('the victim is not there')
  await createMailboxClient({ libp2p: owner.libp2p }, { signer }).admit({ peer, addresses: [multiaddr(target)] }, [])
  return signer.publicKey
}

const firstContactBits = 16

/** On a node: what a relay does not answer. By name. */
export const nodeAttacks: Readonly<Record<string, Attack>> = {
  'letters for somebody else': siege(() => {
    const letters = Array.from({ length: 50 }, () =>
      writeFirstEnvelope({ to: createSigner().publicKey, box: new Uint8Array(randomBytes(400)), bits: 1 })
    )
    return { protocol: protocols.messages, stream: 'once', interview: (identity) => takeTurns(letters, identity) }
  }),
  'letters opened and left': leave(protocols.messages, undefined)
}

/** On a relay. By name. */
export const relayAttacks: Readonly<Record<string, Attack>> = {
  'negentropy bombs': siege(() => {
    const question = reconcile(bomb(2040, lastMinute()))
    return { protocol: protocols.sync, stream: 'kept', interview: () => () => question }
  }),
  'negentropy bombs, a session each': siege(() => {
    const question = reconcile(bomb(2040, lastMinute()))
    return { protocol: protocols.sync, stream: 'once', interview: () => () => question }
  }),
  'negentropy bombs after a fair beginning': siege(() => ({
    protocol: protocols.sync,
    stream: 'kept',
    interview: askEverFiner
  })),
  'lists of all ids for five bytes': siege(() => {
    const question = reconcile(listOfNothing)
    return { protocol: protocols.sync, stream: 'kept', interview: () => () => question }
  }),
  'partitions without end': siege(() => {
    const question = encodeQuestion({ kind: 'partitions', scope, summary: new Uint8Array(16) })
    return { protocol: protocols.sync, stream: 'kept', interview: () => () => question }
  }),
  'the change log without end': siege(() => ({ protocol: protocols.sync, stream: 'kept', interview: followLog })),
  'the same records without end': siege(() => ({
    protocol: protocols.sync,
    stream: 'kept',
    interview: () => askAgainFor(256)
  })),
  'catch-up opened and left': leave(protocols.sync, undefined),
  'lists of all ids never read': leave(protocols.sync, reconcile(listOfNothing)),

  'letters to one': async (context) => {
    const to = await openMailbox(context.target.tcp)
    const letters = Array.from({ length: 200 }, () =>
      encodeMailboxQuestion({
        op: 'put',
        envelope: writeFirstEnvelope({ to, box: new Uint8Array(randomBytes(4000)), bits: firstContactBits })
      })
    )
    const make = (): Siege => ({
      protocol: protocols.mail,
      stream: 'once',
      made: letters.length,
      interview: (identity) => takeTurns(letters, identity)
    })
    return siege(make)(context)
  },
  'letters to nobody': siege(() => {
    const letters = Array.from({ length: 50 }, () =>
      encodeMailboxQuestion({
        op: 'put',
        envelope: writeFirstEnvelope({
          to: createSigner().publicKey,
          box: new Uint8Array(randomBytes(60_000)),
          bits: 1
        })
      })
    )
    return { protocol: protocols.mail, stream: 'once', interview: (identity) => takeTurns(letters, identity) }
  }),
  'mailboxes opened and left': leave(protocols.mail, undefined),
  'streams of no protocol': leave('/souk/none/1', undefined),

  'praise of many subjects': siege(() => {
    const all = praises(400, { perSubject: 1 }).map(({ bytes }) => encodeSetQuestion({ op: 'add', record: bytes }))
    return {
      protocol: protocols.sets,
      stream: 'once',
      made: all.length,
      interview: (identity) => takeTurns(all, identity)
    }
  }),
  'lists of a set without end': siege(() => {
    const question = encodeSetQuestion({ op: 'list', subject: createSigner().publicKey, after: undefined })
    return { protocol: protocols.sets, stream: 'once', interview: () => () => question }
  }),
  'sets never read': leave(
    protocols.sets,
    encodeSetQuestion({ op: 'list', subject: new Uint8Array(32), after: undefined })
  ),

  'bad DHT puts': siege(() => ({
    protocol: protocols.dht,
    stream: 'once',
    interview: () => () => dhtPut(valueKey(new Uint8Array(randomBytes(32))), new Uint8Array(randomBytes(500)))
  })),
  'DHT puts under names of Object': siege(() => ({
    protocol: protocols.dht,
    stream: 'once',
    interview: () => () =>
      dhtPut(new Uint8Array(Buffer.from(`/constructor/${randomBytes(8).toString('hex')}`)), new Uint8Array(8000))
  })),
  'good DHT puts': siege(() => {
    const all = praises(900, { perSubject: 900 }).map(({ digest, bytes }) => dhtPut(valueKey(digest), bytes))
    return {
      protocol: protocols.dht,
      stream: 'kept',
      made: all.length,
      interview: (identity) => takeTurns(all, identity)
    }
  }),
  'DHT questions without end': siege(() => ({
    protocol: protocols.dht,
    stream: 'kept',
    interview: () => () =>
      new Uint8Array(Buffer.concat([Uint8Array.of(0x08, 4), field(2, new Uint8Array(randomBytes(32)))]))
  })),
  'DHT streams opened and left': leave(protocols.dht, undefined)
}
