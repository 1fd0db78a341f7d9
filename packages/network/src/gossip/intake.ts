import assert from 'node:assert'
import type { PeerId, Stream } from '@libp2p/interface'
import type { GossipSub } from '@libp2p/gossipsub'
import type { RPC } from '@libp2p/gossipsub/message'
import { recordBytesMax } from '@souk/records'
import type { Guard } from '../guard/guard.ts'
import { createFrameReader } from './frames.ts'
import {
  intakeTurnMs,
  intakeWaitingBytesMax,
  meshChangeUnits,
  messageUnits,
  needlessMessageUnits,
  offeredIdUnits
} from './limits.ts'
import type { Named } from './message-id.ts'
import type { Rejections } from './rejections.ts'
import { createRepeats } from './repeats.ts'
import { createTurns, type Turns } from './turns.ts'

/**
 * Reads what peers send by gossip in gossipsub's place, which takes any number of control messages of whatever they
 * hold, drops what it cannot read and goes on reading. Here each frame is paid for before it is acted on, and one that
 * no gossipsub writes costs its sender. And a frame comes straight from its stream: by way of three iterators it took
 * as long as what is done with most of them.
 */
export function guardIntake(
  pubsub: GossipSub,
  {
    guard,
    rejections,
    keyOf
  }: {
    guard: Pick<Guard, 'allow' | 'punish' | 'refuses'>
    rejections: Pick<Rejections<Named>, 'codeOf'>
    /** Two messages with one key are the same. */
    keyOf: (message: Named) => string
  }
): void {
  const router = openRouter(pubsub)
  const turns = createTurns(intakeTurnMs)

  /** What messages of one peer cost. */
  const createTariff = (): Tariff => {
    const isRepeated = createRepeats(keyOf)
    return (message) =>
      router.subscriptions.has(message.topic) && !isRepeated(message) ? messageUnits : needlessMessageUnits
  }

  const take = async (peer: PeerId, { frame, tariff }: { frame: Uint8Array; tariff: Tariff }): Promise<void> => {
    const rpc = readRpc(router, frame)
    if (rpc === undefined) return guard.punish(peer, 'malformed-rpc')
    if (rpc.messages.some(({ data }) => (data?.length ?? 0) > recordBytesMax)) return guard.punish(peer, 'oversize-rpc')
    if (!guard.allow(peer, 'gossip-control', unitsOf(rpc, tariff))) return guard.punish(peer, 'too-many-rpcs')
    const wrong = rpc.messages.map(rejections.codeOf).find((code) => code !== undefined)
    if (wrong !== undefined) return guard.punish(peer, wrong)
    const told = onlyTold(rpc)
    if (told === undefined) await router.handleReceivedRpc(peer, rpc)
    else if (router.acceptFrom(peer.toString())) router.handleIdontwant(peer.toString(), told)
  }

  router.createInboundStream = (peer, stream) => {
    const name = peer.toString()
    if (!router.isStarted() || !router.peers.has(name)) return
    // The newest is the one that counts, and what has come on the one before is still read.
    void router.streamsInbound.get(name)?.close()
    const tariff = createTariff()
    router.streamsInbound.set(name, { close: () => stream.close().catch((error: Error) => stream.abort(error)) })
    readInTurn(stream, turns, {
      // What a peer sent before it was cut off may still lie here.
      isOver: () => guard.refuses(peer),
      onFrame: (frame) => take(peer, { frame, tariff }),
      onOversize: () => guard.punish(peer, 'oversize-rpc')
    })
  }
}

interface FrameSink {
  /** True when nothing more is to be looked at. */
  isOver(): boolean
  /** The next frame waits for this; none comes after it has failed. */
  onFrame(frame: Uint8Array): Promise<void>
  /** The last that is heard of the stream. */
  onOversize(): void
}

/**
 * Gives away the frames of a stream one after the other, for as long as it is sound. Nothing more is read from it while
 * much waits for its turn: the sender then has no window left.
 */
function readInTurn(stream: Stream, turns: Turns, sink: FrameSink): void {
  const reader = createFrameReader()
  const waiting: Uint8Array[] = []
  let waitingBytes = 0
  let [isBusy, hasEnded] = [false, false]

  const end = (): void => {
    hasEnded = true
    waiting.length = 0
  }
  /** A stream that goes on gives away what it has before it says so to the sender, who would get a window in between. */
  let isGoingOn = false
  const pauseWhenFull = (): void => {
    const isFull = waitingBytes >= intakeWaitingBytesMax
    if (isFull && !isGoingOn && stream.readStatus === 'readable') stream.pause()
  }
  const goOn = (): void => {
    isGoingOn = true
    stream.resume()
    isGoingOn = false
    pauseWhenFull()
  }
  const next = (): Uint8Array | undefined => {
    const frame = waiting.shift()
    waitingBytes -= frame?.length ?? 0
    if (waitingBytes < intakeWaitingBytesMax / 2 && stream.readStatus === 'paused') goOn()
    return frame
  }
  const drain = async (): Promise<void> => {
    isBusy = true
    for (let frame = next(); frame !== undefined; frame = next()) {
      for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
      if (sink.isOver()) end()
      else await sink.onFrame(frame)
    }
    isBusy = false
  }
  const keep = (frames: readonly Uint8Array[]): void => {
    waiting.push(...frames)
    waitingBytes += frames.reduce((sum, { length }) => sum + length, 0)
    pauseWhenFull()
  }
  stream.addEventListener('message', ({ data }) => {
    if (hasEnded) return
    try {
      keep(reader.take(data.subarray()))
    } catch {
      end()
      return sink.onOversize()
    }
    if (!isBusy) drain().catch(end)
  })
  stream.addEventListener('close', ({ error }) => {
    if (error !== undefined) end()
  })
}

/**
 * What an RPC costs to act on, whatever it says: one unit for itself and for each thing in it, more for a message. A
 * change of the mesh makes gossipsub answer and keep a note of it.
 */
export function unitsOf({ subscriptions, messages, control }: RPC, tariff: Tariff): number {
  const plain = 1 + subscriptions.length + sumOf(messages.map(tariff))
  if (control === undefined) return plain
  const { ihave, iwant, idontwant, graft, prune } = control
  return (
    plain +
    (ihave.length + iwant.length + idontwant.length) +
    (idsIn(ihave) * offeredIdUnits + idsIn(iwant) + idsIn(idontwant)) +
    (graft.length + prune.length) * meshChangeUnits
  )
}

/** The units of a message. */
type Tariff = (message: Named) => number

function idsIn(lists: readonly { readonly messageIDs: readonly unknown[] }[]): number {
  return sumOf(lists.map(({ messageIDs }) => messageIDs.length))
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0)
}

type Told = NonNullable<RPC['control']>['idontwant']

/**
 * What a frame says that need not be sent, when it says nothing else: five of six frames do. gossipsub describes each for
 * a log that nobody writes, and looks in two turns for everything else that it might say.
 */
function onlyTold({ subscriptions, messages, control }: RPC): Told | undefined {
  if (control === undefined || subscriptions.length > 0 || messages.length > 0) return undefined
  const { ihave, iwant, graft, prune, idontwant } = control
  return ihave.length + iwant.length + graft.length + prune.length === 0 ? idontwant : undefined
}

/** Undefined for what is no RPC, or one beyond `rpcLimits`. */
function readRpc(router: Router, frame: Uint8Array): RPC | undefined {
  try {
    return router.decodeRpc(frame)
  } catch {
    return undefined
  }
}

interface Router {
  readonly peers: ReadonlyMap<string, PeerId>
  readonly streamsInbound: Map<string, { close(): Promise<void> }>
  readonly subscriptions: ReadonlySet<string>
  createInboundStream: (peer: PeerId, stream: Stream) => void
  readonly isStarted: () => boolean
  readonly decodeRpc: (frame: Uint8Array) => RPC
  /** Fails only for what is wrong with gossipsub. */
  readonly handleReceivedRpc: (from: PeerId, rpc: RPC) => Promise<void>
  /** False for peers whose score is so low that nothing of theirs is looked at. */
  readonly acceptFrom: (from: string) => boolean
  readonly handleIdontwant: (from: string, told: Told) => void
}

const methods = [
  'createInboundStream',
  'isStarted',
  'decodeRpc',
  'handleReceivedRpc',
  'acceptFrom',
  'handleIdontwant'
] as const

/** Private parts of gossipsub, which has no hook for any of this; fails at start if a version moves them. */
function openRouter(pubsub: GossipSub): Router {
  const router = pubsub as unknown as Router
  for (const name of methods) assert(typeof router[name] === 'function', `gossipsub has its ${name} elsewhere`)
  assert(router.peers instanceof Map, 'gossipsub keeps its peers elsewhere')
  assert(router.streamsInbound instanceof Map, 'gossipsub keeps its streams elsewhere')
  assert(router.subscriptions instanceof Set, 'gossipsub keeps its topics elsewhere')
  return router
}
