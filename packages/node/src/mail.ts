import type { Did } from '@souk/records'
import { decodeCanonical, encodeCanonical } from '@souk/records'
import type { Inbox, Outbox, OutboxEntry } from '@souk/storage'
import { NodeError } from './errors.ts'
import {
  atRelayRetryMs,
  atRelayRetryMsMax,
  deliveryTimeoutMs,
  letterBytesMax,
  outboxRetryMs,
  outboxRetryMsMax
} from './limits.ts'
import type { LetterState } from './letters.ts'

/** What nodes say to each other in private. */
export interface Letter {
  readonly type: 'order-event'
  /** A signed event of an order, as it travels. */
  readonly event: Uint8Array
}

/** A letter that came, with what names it for ever. */
export interface ReceivedLetter {
  readonly from: Did
  readonly messageId: string
  readonly payload: Uint8Array
}

export interface MailComponents {
  readonly outbox: Outbox
  readonly inbox: Inbox
  /** Resolves once the recipient has acknowledged, or relays of theirs keep the letter; rejects with why neither. */
  readonly deliver: (
    message: { to: Did; messageId: string; payload: Uint8Array },
    options: { signal: AbortSignal }
  ) => Promise<'delivered' | 'at-relay'>
  /** Processes a letter durably, marking `inboxId` as processed in the same batch; throws a coded error when it cannot. */
  readonly process: (letter: Letter, source: { from: Did; inboxId: string }) => Promise<void>
  /** A letter of one's own is at relays now, or has been acknowledged. */
  readonly onState: (letter: { id: string; to: Did; state: LetterState }) => void
  readonly onProblem: (problem: { code: string; message: string }) => void
}

/** Takes letters out of the outbox until they are acknowledged, and lets letters in. */
export interface Mail extends AsyncDisposable {
  start(): void
  /** Tries at once what waits for somebody: they have just come online. */
  hurry(to?: Did): void
  /** People to whom something is under way. */
  waitedFor(): Did[]
  /** An acknowledgement has come by another way than as the answer to an attempt. */
  acknowledged(letter: { to: Did; messageId: string }): Promise<void>
  /** Resolves when the letter is safe on disk, whatever it says; only then is it acknowledged. */
  receive(letter: ReceivedLetter): Promise<void>
  wasProcessed(letter: Pick<ReceivedLetter, 'from' | 'messageId'>): Promise<boolean>
}

/** The bytes of a letter. */
export function encodeLetter(letter: Letter): Uint8Array {
  return encodeCanonical({ v: 1, ...letter })
}

export function createMail(components: MailComponents, init: { now: () => number }): Mail {
  const { outbox, inbox } = components
  const stopping = new AbortController()
  const sending = new Set<string>()
  /** Those who have come online while an attempt to reach them where they were was under way. */
  const hurried = new Set<string>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let unsubscribe: (() => void) | undefined

  const pump = async (): Promise<void> => {
    if (stopping.signal.aborted) return
    const due = await outbox.due(init.now())
    for (const entry of due) if (!sending.has(entry.to)) void send(entry)
    schedule()
  }

  const schedule = (): void => {
    clearTimeout(timer)
    const next = outbox.nextDueAtMs()
    if (next === undefined || stopping.signal.aborted) return
    timer = setTimeout(wake, Math.max(minDelayMs, next - init.now()))
    timer.unref()
  }

  const tellProblem = (error: unknown): void => components.onProblem({ code: 'outbox', message: String(error) })

  const wake = (): void => {
    pump().catch(tellProblem)
  }

  /** One attempt; the next letter to the same person waits for it, so that causes come before effects. */
  const send = async (entry: OutboxEntry): Promise<void> => {
    sending.add(entry.to)
    hurried.delete(entry.to)
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(deliveryTimeoutMs)])
    try {
      const outcome = await components.deliver(
        { to: entry.to as Did, messageId: entry.id, payload: entry.bytes },
        { signal }
      )
      if (outcome === 'delivered') await end(entry)
      else await restAtRelay(entry)
    } catch (error) {
      if (stopping.signal.aborted) return
      const delayMs = hurried.delete(entry.to)
        ? 0
        : Math.min(outboxRetryMsMax, outboxRetryMs * 2 ** Math.min(entry.attempts, 16))
      const { code = 'failed', message } = error as { code?: string; message: string }
      await outbox.reschedule(entry.id, { dueAtMs: init.now() + delayMs, error: `${code}: ${message}` })
    } finally {
      sending.delete(entry.to)
      wake()
    }
  }

  const end = async ({ id, to }: { id: string; to: string }): Promise<void> => {
    const known = outbox.list({ to }).some((header) => header.id === id)
    await outbox.delivered([id])
    if (known) components.onState({ id, to: to as Did, state: 'delivered' })
  }

  /** The longer it has been there, the less often it is offered: what hurries it is the recipient's coming. */
  const restAtRelay = async ({ id, to, addedAtMs, state }: OutboxEntry): Promise<void> => {
    const nowMs = init.now()
    const delayMs = Math.min(atRelayRetryMsMax, Math.max(atRelayRetryMs, (nowMs - addedAtMs) / 2))
    await outbox.reschedule(id, { dueAtMs: Math.round(nowMs + delayMs), state: 'at-relay' })
    if (state !== 'at-relay') components.onState({ id, to: to as Did, state: 'at-relay' })
  }

  return {
    start() {
      unsubscribe = outbox.onAdded(wake)
      wake()
    },
    hurry(to) {
      const headers = outbox.list(to === undefined ? {} : { to })
      for (const header of headers) if (sending.has(header.to)) hurried.add(header.to)
      outbox.hurry(headers.map(({ id }) => id)).then(wake, tellProblem)
    },
    waitedFor: () => [...new Set(outbox.list().map(({ to }) => to as Did))],
    acknowledged: async ({ to, messageId }) => {
      await end({ id: messageId, to })
      wake()
    },
    wasProcessed: (letter) => inbox.wasProcessed(inboxIdOf(letter)),
    async receive(received) {
      const inboxId = inboxIdOf(received)
      const { from, payload } = received
      try {
        await components.process(openLetter(payload), { from, inboxId })
      } catch (error) {
        if (!isCoded(error)) throw error
        const { code, message } = error
        const kept = await inbox.reject({ id: inboxId, from, bytes: payload, code, message })
        if (!kept) throw new NodeError('refused', `too many letters of ${from} wait to be looked at`, { cause: error })
        components.onProblem({ code, message: `a letter of ${from} could not be processed: ${message}` })
      }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      clearTimeout(timer)
      unsubscribe?.()
    }
  }
}

/** The shortest sleep of the pump: a letter that is due already is being sent. */
const minDelayMs = 50

function inboxIdOf({ from, messageId }: Pick<ReceivedLetter, 'from' | 'messageId'>): string {
  return `${from}/${messageId}`
}

/** Reads a letter. @throws `RecordError` for bytes that are none, {@link NodeError} `refused` for letters that this version cannot read. */
export function openLetter(payload: Uint8Array): Letter {
  const letter = decodeCanonical(payload, { bytesMax: letterBytesMax })
  if (typeof letter === 'object' && letter !== null && 'type' in letter && letter.type === 'order-event') {
    const { event } = letter as { event?: unknown }
    if (event instanceof Uint8Array) return { type: 'order-event', event }
  }
  throw new NodeError('refused', 'the letter is of a kind that this version does not know')
}

/** Errors that say what is wrong with the letter; all others are ours or the disk's, and the sender tries again. */
function isCoded(error: unknown): error is Error & { code: string } {
  const names = ['RecordError', 'TradingError', 'NodeError']
  return error instanceof Error && names.includes(error.name) && 'code' in error && typeof error.code === 'string'
}
