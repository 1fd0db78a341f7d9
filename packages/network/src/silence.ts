import type { ComponentLogger, Logger } from '@libp2p/interface'

/**
 * A log that nobody writes. libp2p makes one of its own for each socket, connection, stream and question, and each asks
 * the system twice whether it is a terminal that nobody reads: a quarter of what a stream costs that is opened and left.
 */
export function createSilence(): ComponentLogger {
  const say = (): void => undefined
  const silence: Logger = Object.assign(say, { error: say, trace: say, enabled: false, newScope: () => silence })
  return { forComponent: () => silence }
}
