import { createHash } from 'node:crypto'
import { createReconciler, type Item, type ItemSet, type ReconcilerInit } from '../src/index.ts'

export type SideInit = Partial<ReconcilerInit>

/** How a whole session went. */
export interface Outcome {
  have: string[]
  need: string[]
  rounds: number
  bytes: number
  largestMessageBytes: number
  messages: Uint8Array[]
}

/** Runs a session between two sets to its end. */
export function reconcileFully(
  ours: ItemSet,
  theirs: ItemSet,
  init: { ours?: SideInit; theirs?: SideInit } = {}
): Outcome {
  const initiator = createReconciler(ours, { ...init.ours, initiator: true })
  const responder = createReconciler(theirs, { ...init.theirs, initiator: false })
  const messages = [initiator.initiate()]
  const have: string[] = []
  const need: string[] = []
  for (;;) {
    const { reply } = responder.reconcile(messages.at(-1)!)
    messages.push(reply!)
    const result = initiator.reconcile(reply!)
    have.push(...result.have.map(toHex))
    need.push(...result.need.map(toHex))
    if (!result.reply) break
    messages.push(result.reply)
  }
  const sizes = messages.map((message) => message.length)
  return {
    have,
    need,
    rounds: messages.length / 2,
    bytes: sizes.reduce((a, b) => a + b, 0),
    largestMessageBytes: Math.max(...sizes),
    messages
  }
}

/** A repeatable item: its id is the SHA-256 of its number. */
export function itemOf(n: number, timestampMs: number): Item {
  return { timestampMs, id: new Uint8Array(createHash('sha256').update(`item ${n}`).digest()) }
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}
