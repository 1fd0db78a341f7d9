import type { Did } from '@souk/records'
import type { Inbox, Outbox } from '@souk/storage'
import { NodeError } from './errors.ts'
import { openLetter } from './mail.ts'
import type { OrderDesk } from './orders.ts'

/** Where a letter of one's own stands: on its way, kept by the recipient's relays, or processed over there. */
export type LetterState = 'sending' | 'at-relay' | 'delivered'

/** A letter of one's own that has not been acknowledged. */
export interface OutgoingLetterView {
  readonly id: string
  readonly to: Did
  readonly order?: string | undefined
  readonly state: 'sending' | 'at-relay'
  readonly writtenAtMs: number
  readonly attempts: number
  /** Why the last attempt failed. */
  readonly error?: string | undefined
}

/** A letter that came and could not be processed. */
export interface KeptLetterView {
  readonly id: string
  readonly from: Did
  /** Stable code of what is wrong with it. */
  readonly code: string
  readonly message: string
  readonly receivedAtMs: number
  readonly attempts: number
}

/** Private letters: those under way, and those that could not be processed. */
export interface Letters {
  /** Oldest first. */
  outgoing(): Promise<OutgoingLetterView[]>
  /** Oldest first. They stay until they are replayed or discarded. */
  kept(): Promise<KeptLetterView[]>
  /**
   * Processes a kept letter once more; it goes when that succeeds.
   *
   * @param id - The letter's, or how its writer's name for it begins: eight characters at least.
   * @returns The letter as it is still kept, with today's reason; `undefined` when it was processed.
   * @throws {@link NodeError} `not-found`.
   */
  replay(id: string): Promise<KeptLetterView | undefined>
  /** @throws {@link NodeError} `not-found`. */
  discard(id: string): Promise<void>
}

export interface LettersComponents {
  readonly outbox: Pick<Outbox, 'list'>
  readonly inbox: Pick<Inbox, 'deadLetters' | 'replay' | 'discard'>
  readonly orders: Pick<OrderDesk, 'receive'>
}

export function createLetters({ outbox, inbox, orders }: LettersComponents): Letters {
  const kept = (): KeptLetterView[] =>
    inbox.deadLetters().map(({ from, ...letter }) => ({ ...letter, from: from as Did }))

  const find = (name: string): KeptLetterView => {
    const [found, other] = kept().filter(({ id }) => id === name || startsMessage(id, name))
    if (found === undefined || other !== undefined)
      throw new NodeError(
        'not-found',
        `${found ? 'several letters begin' : 'no kept letter begins'} with ${name.slice(0, 200)}`
      )
    return found
  }

  return {
    outgoing: async () =>
      outbox.list().map(({ id, to, order, state, addedAtMs, attempts, error }) => ({
        id,
        to: to as Did,
        ...(order === undefined ? {} : { order }),
        state,
        writtenAtMs: addedAtMs,
        attempts,
        ...(error === undefined ? {} : { error })
      })),
    kept: async () => kept(),
    async replay(name) {
      const { id, from } = find(name)
      const processed = await inbox.replay(id, ({ bytes }) => orders.receive(openLetter(bytes), { from, inboxId: id }))
      return processed ? undefined : find(id)
    },
    async discard(name) {
      await inbox.discard(find(name).id)
    }
  }
}

/** A kept letter's id is its writer and, after a slash, the writer's name for it. */
function startsMessage(id: string, start: string): boolean {
  return start.length >= 8 && id.slice(id.indexOf('/') + 1).startsWith(start)
}
