import { CliError } from './errors.ts'
import type { Host } from './invocation.ts'
import { secondSignalAfterMs } from './limits.ts'
import { runSouk } from './program.ts'

/**
 * The program, on this process.
 *
 * @param calledAs - How a person calls it, for hints.
 */
export async function main(calledAs: string): Promise<void> {
  const { env, platform, stdin, stdout, stderr, argv } = process
  // `souk search | head` closes the pipe: that is no failure.
  stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const host = { env, platform, stdin, stdout, stderr, ...followSignals(), calledAs }
  process.exitCode = await runSouk(argv.slice(2), host)
}

/** The first signal asks to end; a second one, when it is not the first come again through npm, ends. */
function followSignals(): Pick<Host, 'signal' | 'onReload'> {
  const controller = new AbortController()
  let firstAtMs: number | undefined
  const stop = (): void => {
    firstAtMs ??= performance.now()
    if (performance.now() - firstAtMs > secondSignalAfterMs) process.exit(130)
    controller.abort(new CliError('cancelled', 'stopped by a signal'))
    // Whoever waits for input gets none any more.
    process.stdin.destroy()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)
  const listeners = new Set<() => void>()
  process.on('SIGHUP', () => {
    if (listeners.size === 0) stop()
    for (const listener of listeners) listener()
  })
  const onReload: Host['onReload'] = (listener) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  return { signal: controller.signal, onReload }
}
