/**
 * What can go wrong, by stable code:
 *
 * - `config-not-yaml`: the text is no YAML, has a key twice, or is too large;
 * - `config-invalid`: a value or a key that is not allowed; {@link RelayError.faults} has each with its remedy;
 * - `key-exposed`: other users of the machine may read the relay's key;
 * - `key-damaged`: the key file does not hold a key;
 * - `store-failed`: the directory cannot be made, opened or written; the cause has the store's own code;
 * - `listen-failed`: an address is taken, or is not of this machine.
 */
export type RelayErrorCode =
  | 'config-not-yaml'
  | 'config-invalid'
  | 'key-exposed'
  | 'key-damaged'
  | 'store-failed'
  | 'listen-failed'

/** One value of a configuration that is not allowed. */
export interface ConfigFault {
  /** `mailbox.lifeMs`; empty for the configuration as a whole. */
  readonly path: string
  /** What stands there, as JSON and cut to 80 characters; undefined when nothing does. */
  readonly value: string | undefined
  /** What may stand there. */
  readonly remedy: string
}

/** The one error of this package. The message states the value, the bound and the remedy. */
export class RelayError extends Error {
  override readonly name = 'RelayError'
  readonly code: RelayErrorCode
  /** With `config-invalid`: all that is wrong, in the order of the configuration. */
  readonly faults: readonly ConfigFault[]

  constructor(
    code: RelayErrorCode,
    message: string,
    options: { cause?: unknown; faults?: readonly ConfigFault[] } = {}
  ) {
    super(message, options)
    this.code = code
    this.faults = options.faults ?? []
  }
}
