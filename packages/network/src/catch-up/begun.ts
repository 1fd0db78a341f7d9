import { SyncError } from './error.ts'
import type { Scope } from './frames.ts'
import { scopesPerSessionMax } from './limits.ts'
import type { PartitionId } from './source.ts'

/**
 * What a session has been asked for already. A client has its answer, and asks for what comes after it: whoever asks
 * for the same once more wants the work that it is, not what it brings. All throw {@link SyncError}
 * `asked-again`, and `too-many-ids` when there is more to remember than one session may make us.
 */
export class Begun {
  /** Of scopes: where each log is to be followed from, and which partitions have been listed. */
  readonly #logs = new Map<string, number>()
  readonly #lists = new Set<string>()
  readonly #partitions = new Set<string>()

  /** A log is only followed forwards. */
  follow(scope: Scope, after: number): void {
    if (after < (this.#logs.get(nameOf(scope)) ?? 0)) throw askedAgain('a page of a log')
  }

  /** Where a page of the log ended. */
  followed(scope: Scope, sequence: number): void {
    this.#logs.set(nameOf(scope), sequence)
    requireFew(this.#logs)
  }

  list(scope: Scope): void {
    const name = nameOf(scope)
    if (this.#lists.has(name)) throw askedAgain('a list of partitions')
    this.#lists.add(name)
    requireFew(this.#lists)
  }

  /** To be told of partitions that the server has something of: of others there are more than can be remembered. */
  compare({ market, channel, day }: PartitionId): void {
    const name = `${market} ${channel} ${day}`
    if (this.#partitions.has(name)) throw askedAgain('comparing a partition')
    this.#partitions.add(name)
  }
}

/** Channels too: a client may ask for some now and for others later. */
function nameOf({ market, channels }: Scope): string {
  return `${market} ${channels.join(' ')}`
}

function requireFew({ size }: { readonly size: number }): void {
  if (size > scopesPerSessionMax) throw new SyncError('too-many-ids', `more than ${scopesPerSessionMax} scopes`)
}

function askedAgain(what: string): SyncError {
  return new SyncError('asked-again', `${what} was asked for twice in a session`)
}
