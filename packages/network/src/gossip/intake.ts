import assert from 'node:assert'
import type { PeerId } from '@libp2p/interface'
import type { GossipSub } from '@libp2p/gossipsub'
import type { RPC } from '@libp2p/gossipsub/message'
import { recordBytesMax } from '@souk/records'
import type { Guard } from '../guard/guard.ts'
import { idsPerUnit, meshChangeUnits } from './limits.ts'

/**
 * Reads what peers send by gossip in gossipsub's place, which takes any number of control messages of whatever they
 * hold, drops what it cannot read and goes on reading. Here each frame is paid for before it is acted on, and one that
 * no gossipsub writes costs its sender.
 */
export function guardIntake(pubsub: GossipSub, guard: Pick<Guard, 'allow' | 'punish' | 'refuses'>): void {
  const reader = openReader(pubsub)

  const take = async (peer: PeerId, frame: Uint8Array): Promise<void> => {
    const rpc = readRpc(reader, frame)
    if (rpc === undefined) return guard.punish(peer, 'malformed-rpc')
    if (rpc.messages.some(({ data }) => (data?.length ?? 0) > recordBytesMax)) return guard.punish(peer, 'oversize-rpc')
    if (!guard.allow(peer, 'gossip-control', unitsOf(rpc))) return guard.punish(peer, 'too-many-rpcs')
    await reader.handleReceivedRpc(peer, rpc)
  }

  reader.pipePeerReadStream = async (peer, frames) => {
    try {
      for await (const frame of frames) {
        // What a peer sent before it was cut off may still lie here.
        if (guard.refuses(peer)) break
        await take(peer, frame.subarray())
      }
    } catch (error) {
      if (isOversize(error)) guard.punish(peer, 'oversize-rpc')
      reader.handlePeerReadStreamError(error as Error, peer)
    }
  }
}

/**
 * What an RPC costs to act on, whatever it says: one unit for itself and for each thing in it. A change of the mesh
 * makes gossipsub answer and keep a note of it.
 */
export function unitsOf({ subscriptions, messages, control }: RPC): number {
  const plain = 1 + subscriptions.length + messages.length
  if (control === undefined) return plain
  const { ihave, iwant, idontwant, graft, prune } = control
  const lists = [...ihave, ...iwant, ...idontwant]
  const ids = lists.reduce((sum, { messageIDs }) => sum + messageIDs.length, 0)
  return plain + lists.length + Math.ceil(ids / idsPerUnit) + (graft.length + prune.length) * meshChangeUnits
}

/** Undefined for what is no RPC, or one beyond `rpcLimits`. */
function readRpc(reader: Reader, frame: Uint8Array): RPC | undefined {
  try {
    return reader.decodeRpc(frame)
  } catch {
    return undefined
  }
}

/** The codec gives up at a frame of 4 MiB, and at a length that takes more than eight bytes to write. */
function isOversize(error: unknown): boolean {
  const { name } = error as Error
  return name === 'InvalidDataLengthError' || name === 'InvalidDataLengthLengthError'
}

interface Reader {
  pipePeerReadStream(peer: PeerId, frames: AsyncIterable<{ subarray(): Uint8Array }>): Promise<void>
  readonly decodeRpc: (frame: Uint8Array) => RPC
  readonly handleReceivedRpc: (from: PeerId, rpc: RPC) => Promise<void>
  readonly handlePeerReadStreamError: (error: Error, peer: PeerId) => void
}

/** Private parts of gossipsub, which has no hook for any of this; fails at start if a version moves them. */
function openReader(pubsub: GossipSub): Reader {
  const reader = pubsub as unknown as Reader
  for (const name of ['pipePeerReadStream', 'decodeRpc', 'handleReceivedRpc', 'handlePeerReadStreamError'] as const) {
    assert(typeof reader[name] === 'function', `gossipsub has its ${name} elsewhere`)
  }
  return reader
}
