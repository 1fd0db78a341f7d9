import { CliError } from './errors.ts'
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
  const host = { env, platform, stdin, stdout, stderr, signal: followSignals(), calledAs }
  process.exitCode = await runSouk(argv.slice(2), host)
}

/** The first signal asks to end; a second one, when it is not the first come again through npm, ends. */
function followSignals(): AbortSignal {
  const controller = new AbortController()
  let firstAtMs: number | undefined
  const stop = (): void => {
    firstAtMs ??= performance.now()
    if (performance.now() - firstAtMs > secondSignalAfterMs) process.exit(130)
    controller.abort(new CliError('cancelled', 'stopped by a signal'))
    // Whoever waits for input gets none any more.
    process.stdin.destroy()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  return controller.signal
}
