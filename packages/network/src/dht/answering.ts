import type { AsyncLocalStorage } from 'node:async_hooks'
import type { PeerId } from '@libp2p/interface'
import type { Guard } from '../guard/guard.ts'
import { ProtocolError } from '../protocol-error.ts'
import { createQueue } from '../store.ts'
import { dhtProtocol } from './limits.ts'
import {
  type Answer,
  decodeQuestion,
  encodeAnswer,
  type HandleQuestion,
  type MessageType,
  type Question
} from './message.ts'
import type { AnswerTo } from './reception.ts'
import type { Putter, Replicas } from './replicas.ts'

export interface AnsweringComponents {
  readonly guard: Pick<Guard, 'allow' | 'allowAddress' | 'punish'>
  readonly replicas: Pick<Replicas, 'hasFrom' | 'requireRoom'>
  /** Answers what may be asked. */
  readonly handle: HandleQuestion
  /** Of addresses, as the guard counts them. */
  readonly blockOfPeer: (peer: PeerId) => string
  /** Whose value is being judged. */
  readonly asking: AsyncLocalStorage<Putter>
}

/** What is done with a question of a peer, from its budget to the answer's bytes: each costs it, and a bad one more. */
export function createAnswering(components: AnsweringComponents): AnswerTo {
  const { guard, replicas, handle, blockOfPeer, asking } = components
  const inOrder = createQueue()

  async function put(peer: PeerId, question: Question): Promise<Answer | undefined> {
    const putter = { peer, block: blockOfPeer(peer), record: question.record }
    // Said again by who said it: the answer to a put is the put.
    if (replicas.hasFrom(putter, question.key)) return question
    replicas.requireRoom(putter)
    // A put that was judged beside another would be judged by what is no longer held.
    return asking.run(putter, () => inOrder(() => handle(peer, question)))
  }

  return async (peer, bytes) => {
    requireBudget(guard, peer)
    let type: MessageType | undefined
    try {
      const question = decodeQuestion(bytes)
      type = question.type
      if (type === 'ADD_PROVIDER') throw new ProtocolError('refused', 'nobody is looked for here by content')
      const answer = await (type === 'PUT_VALUE' ? put(peer, question) : handle(peer, question))
      return answer && encodeAnswer(answer)
    } catch (error) {
      if (isOffence(error, type)) guard.punish(peer, `${dhtProtocol}:${codeOf(error)}`)
      throw error
    }
  }
}

function requireBudget(guard: AnsweringComponents['guard'], peer: PeerId): void {
  if (!guard.allow(peer, dhtProtocol)) {
    guard.punish(peer, `${dhtProtocol}:too-many-messages`)
    throw overBudget
  }
  if (!guard.allowAddress(peer, dhtProtocol)) throw overBudget
}

/** One for all: it is said as often as somebody asks too much, and a stack is most of what it would cost. */
const overBudget = new ProtocolError('refused', 'this peer, or its address, has used up what it may ask')

const forgiven: ReadonlySet<string> = new Set(['stale', 'refused'])

/**
 * What is no message at all, and a value that ought not to be there. Room and time are a matter of this node, and who puts
 * an older presence may not have heard of the newer: no offence.
 */
function isOffence(error: unknown, type: MessageType | undefined): boolean {
  if (type === undefined) return true
  if (type !== 'PUT_VALUE') return false
  return !(error instanceof ProtocolError && (error.code.endsWith('-full') || forgiven.has(error.code)))
}

/** What the validator said; all else is a key that is none of ours, or a message that says nothing. */
function codeOf(error: unknown): string {
  return error instanceof ProtocolError ? error.code : 'wrong-key'
}
