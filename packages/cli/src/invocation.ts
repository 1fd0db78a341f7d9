import type { Client } from '@souk/api/client'
import type { Command } from 'commander'
import { type Ask, createAsk } from './ask.ts'
import { connect } from './connection.ts'
import { CliError } from './errors.ts'
import { type Home, homeOf } from './home.ts'
import { callTimeoutSeconds } from './limits.ts'
import { createOutput, type Output } from './output.ts'

/** What the program runs in. */
export interface Host {
  readonly env: NodeJS.ProcessEnv
  readonly platform: string
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Aborted when the person or the system wants the program to end. */
  readonly signal: AbortSignal
  /**
   * Calls back when the system wants the configuration read again (SIGHUP), until taken off. While nobody listens the
   * program ends instead: its terminal has gone.
   */
  readonly onReload: (listener: () => void) => () => void
  /** How a person calls this program, for hints: `souk`, or through npm from a checkout. */
  readonly calledAs: string
}

/** Options of every command. */
export interface GlobalOptions {
  readonly home?: string
  readonly json?: boolean
  readonly fields?: string
  /** False with `--no-input`. */
  readonly input?: boolean
  readonly yes?: boolean
  readonly timeout?: string
}

/** One run of one command. */
export interface Invocation {
  readonly home: Home
  readonly out: Output
  readonly json: boolean
  /** There only when a person can be asked. */
  readonly ask: Ask | undefined
  readonly yes: boolean
  /** Ends with the person's patience, or after `--timeout`. */
  readonly signal: AbortSignal
  readonly host: Host
  /** How to call this program on this home, for hints. */
  readonly souk: string
  /** @throws {@link CliError} `unreachable-node`. */
  client(): Promise<Pick<Client, 'call' | 'events'>>
  /**
   * Asks before something that cannot be undone. A script says by calling that it means it; a person is asked.
   *
   * @throws {@link CliError} `cancelled`.
   */
  confirm(question: string): Promise<void>
}

/** Wraps what a command does for commander, which calls with operands, options, command. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it gives `act` the types that it names
export type Begin = <A extends unknown[]>(
  act: (run: Invocation, ...operandsAndOptions: A) => Promise<void>
) => (...given: unknown[]) => Promise<void>

export function createBegin(host: Host): Begin {
  return (act) =>
    async (...given) => {
      const command = given.at(-1) as Command
      const run = createInvocation(host, command.optsWithGlobals())
      await act(run, ...(given.slice(0, -1) as never))
    }
}

function createInvocation(host: Host, options: GlobalOptions): Invocation {
  const home = homeOf(options.home, host)
  const fields = options.fields?.split(',').map((name) => name.trim())
  const json = options.json ?? false
  const out = createOutput({ stdout: host.stdout, stderr: host.stderr, json, fields })
  const mayAsk = options.input !== false && host.stdin.isTTY && host.stderr.isTTY
  const ask = mayAsk ? createAsk(host.stderr) : undefined
  const timed = timeoutSignal(options.timeout)
  const signal = AbortSignal.any([host.signal, ...(timed === undefined ? [] : [timed])])
  const yes = options.yes ?? false
  const souk = home.isDefault ? host.calledAs : `${host.calledAs} --home ${home.directory}`
  return {
    home,
    out,
    json,
    ask,
    yes,
    signal,
    host,
    souk,
    async client() {
      const client = await connect(home)
      const limit = (): AbortSignal =>
        timed === undefined ? AbortSignal.any([signal, timeoutOf(callTimeoutSeconds)]) : signal
      return {
        call: (name: never, request: never) => callWithin(limit(), (signal) => client.call(name, request, { signal })),
        events: (events) => eventsWithin(events.signal, client.events(events))
      }
    },
    async confirm(question) {
      if (ask === undefined || yes || (await ask.confirm(question))) return
      throw new CliError('cancelled', 'nothing was done')
    }
  }
}

/** A call that was given up fails with the reason for it, whatever the socket made of that. */
async function callWithin<T>(signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await call(signal)
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

/** The same for a stream; one that ends by itself ended because the node did. */
async function* eventsWithin<T>(signal: AbortSignal, events: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* events
  } catch (error) {
    signal.throwIfAborted()
    throw new CliError('unreachable-node', 'the node stopped', { cause: error })
  }
  signal.throwIfAborted()
  throw new CliError('unreachable-node', 'the node stopped')
}

function timeoutSignal(text: string | undefined): AbortSignal | undefined {
  if (text === undefined) return undefined
  const seconds = Number(text)
  if (!(seconds > 0 && seconds <= 1e6)) throw new CliError('usage', `"${text}" is not a number of seconds`)
  return timeoutOf(seconds)
}

/** Aborts with an error that says what happened. */
export function timeoutOf(seconds: number): AbortSignal {
  const controller = new AbortController()
  const stop = (): void => controller.abort(new CliError('timed-out', `nothing came within ${seconds} s`))
  setTimeout(stop, seconds * 1000).unref()
  return controller.signal
}

/** Resolves when `signal` aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
