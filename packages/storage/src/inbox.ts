import type { Disk } from './disk.ts'
import { StorageError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import { lettersMax, lettersPerSenderMax, messageBytesMax, scanRows, seenMs } from './limits.ts'
import { type Pending, Shelf } from './shelf.ts'
import { scan, type StorageOp, type Tables } from './tables.ts'

/** A message that came and could not be processed. Kept for the user to see and to try again. */
export interface DeadLetter {
  readonly id: string
  readonly from: string
  /** The stable code of what went wrong. */
  readonly code: string
  readonly message: string
  readonly receivedAtMs: number
  /** Tries so far. */
  readonly attempts: number
}

/** What went wrong with a message. */
export interface RejectedMessage {
  readonly id: string
  readonly from: string
  readonly bytes: Uint8Array
  readonly code: string
  readonly message: string
}

/** Messages that came in: which were processed, and those that could not be. */
export interface Inbox {
  /** True when a message of this id was processed before: acknowledge it again, and do nothing else. */
  wasProcessed(id: string): Promise<boolean>
  /** Remembers messages as processed, with the changes they led to, in one batch. */
  process(ids: readonly string[], extraOps?: readonly StorageOp[]): Promise<void>
  /**
   * Keeps a message that could not be processed.
   *
   * @returns false when its sender, or all senders together, have too many there: do not acknowledge it.
   */
  reject(message: RejectedMessage): Promise<boolean>
  /** Oldest first. */
  deadLetters(): DeadLetter[]
  deadLetterBytes(id: string): Promise<Uint8Array | undefined>
  /** Tries a dead letter once more: it goes when `handle` succeeds, and stays with the new reason when it throws. */
  replay(id: string, handle: (letter: DeadLetter & { bytes: Uint8Array }) => Promise<void>): Promise<boolean>
  discard(id: string): Promise<void>
  onRejected(listener: (letter: DeadLetter) => void): Unsubscribe
}

/** What orders and the sweep need of the inbox besides. */
export interface InboxDraft {
  processing(ids: readonly string[]): readonly StorageOp[]
  /** Forgets processed ids whose time has come. */
  sweep(nowMs: number): Promise<void>
}

export async function openInbox(tables: Tables, disk: Disk, now: () => number): Promise<Inbox & InboxDraft> {
  return new ShelvedInbox({ tables, disk, now, shelf: await Shelf.open<DeadLetter>(tables.letters) })
}

interface InboxInit {
  readonly tables: Tables
  readonly disk: Disk
  readonly now: () => number
  readonly shelf: Shelf<DeadLetter>
}

class ShelvedInbox implements Inbox, InboxDraft {
  readonly #init: InboxInit
  readonly #events = new Emitter<{ rejected: DeadLetter }>()

  constructor(init: InboxInit) {
    this.#init = init
  }

  wasProcessed(id: string): Promise<boolean> {
    return this.#init.tables.seen.has(id)
  }

  async process(ids: readonly string[], extraOps: readonly StorageOp[] = []): Promise<void> {
    await this.#init.disk.commit([...this.processing(ids), ...extraOps], { sync: true })
  }

  processing(ids: readonly string[]): StorageOp[] {
    const { tables, now } = this.#init
    return ids.map((key) => ({ type: 'put', sublevel: tables.seen, key, value: now() + seenMs }))
  }

  async reject({ bytes, id, from, code, message }: RejectedMessage): Promise<boolean> {
    const { shelf, now } = this.#init
    const known = shelf.header(id)
    if (known !== undefined) {
      await this.#write(shelf.change({ ...known, code, message, attempts: known.attempts + 1 }))
      return true
    }
    if (!this.#hasRoom(from, bytes)) return false
    const letter: DeadLetter = { id, from, code, message, receivedAtMs: now(), attempts: 1 }
    await this.#write(shelf.add(letter, bytes))
    this.#events.emit('rejected', letter)
    return true
  }

  deadLetters(): DeadLetter[] {
    return this.#init.shelf.headers()
  }

  deadLetterBytes(id: string): Promise<Uint8Array | undefined> {
    return this.#init.shelf.bytes(id)
  }

  async replay(id: string, handle: (letter: DeadLetter & { bytes: Uint8Array }) => Promise<void>): Promise<boolean> {
    const { shelf } = this.#init
    const [letter, bytes] = [shelf.header(id), await shelf.bytes(id)]
    if (letter === undefined || bytes === undefined) {
      throw new StorageError('bad-argument', `there is no dead letter ${id}; list them to see which there are`)
    }
    try {
      await handle({ ...letter, bytes })
    } catch (error) {
      const { code = 'failed', message } = error as { code?: string; message: string }
      await this.#write(shelf.change({ ...letter, code, message, attempts: letter.attempts + 1 }))
      return false
    }
    await this.discard(id)
    return true
  }

  async discard(id: string): Promise<void> {
    await this.#write(this.#init.shelf.remove(id))
  }

  onRejected(listener: (letter: DeadLetter) => void): Unsubscribe {
    return this.#events.on('rejected', listener)
  }

  async sweep(nowMs: number): Promise<void> {
    const { tables, disk } = this.#init
    for await (const rows of scan(tables.seen.iterator(), scanRows)) {
      const old = rows.filter(([, until]) => (until as number) <= nowMs)
      const ops = old.map(([key]): StorageOp => ({ type: 'del', sublevel: tables.seen, key }))
      if (ops.length > 0) await disk.commit(ops)
    }
  }

  #hasRoom(from: string, bytes: Uint8Array): boolean {
    const { shelf } = this.#init
    const ofSender = shelf.headers().filter((letter) => letter.from === from).length
    return shelf.size < lettersMax && ofSender < lettersPerSenderMax && bytes.length <= messageBytesMax
  }

  async #write({ ops, written }: Pending): Promise<void> {
    if (ops.length > 0) await this.#init.disk.commit(ops, { sync: true })
    written()
  }
}
