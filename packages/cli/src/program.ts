import { Command, CommanderError, Option } from 'commander'
import { nouns } from './commands.ts'
import { CliError, exitStatusOf, showError } from './errors.ts'
import { createBegin, type Host } from './invocation.ts'
import { printable, printableJson, printableLines } from './text.ts'

/** Shown by `--version`; the package's own. */
export const version = '0.1.0'

/**
 * Runs one command.
 *
 * @param argv - What follows the program's name.
 * @returns The exit status, see {@link exitStatusOf}.
 */
export async function runSouk(argv: readonly string[], host: Host): Promise<number> {
  const program = createProgram(host)
  try {
    await program.parseAsync(helpLast(argv), { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error, host, argv)
    // What fails after the person ended it failed because of that.
    const cause: unknown = host.signal.aborted ? host.signal.reason : error
    report(cause, host, argv)
    return exitStatusOf(cause)
  }
}

/** The whole command tree; what a noun can do is loaded when the noun is called. */
export function createProgram(host: Host): Command {
  const begin = createBegin(host)
  const program = new Command('souk')
    .description('A marketplace between people: list, find, buy and rate, without anybody in the middle.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print how it is used')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => void host.stdout.write(text),
      writeErr: (text) => void host.stderr.write(text),
      outputError: () => undefined
    })
    .exitOverride()
    .showSuggestionAfterError()
  for (const option of globalOptions()) program.addOption(option)
  program.addHelpText('after', exitStatusHelp)
  for (const { name, summary } of nouns) program.command(name).description(summary)
  program.hook('preSubcommand', async (parent, command) => {
    if (parent === program) await fill(command, begin)
  })
  return program
}

/** Gives every noun its verbs; for completion, which needs them all. */
export async function fillAll(program: Command, host: Host): Promise<void> {
  const begin = createBegin(host)
  for (const command of program.commands) await fill(command, begin)
}

async function fill(command: Command, begin: ReturnType<typeof createBegin>): Promise<void> {
  const noun = nouns.find(({ name }) => name === command.name())
  const add = await noun?.load()
  add?.(command.helpCommand(false), begin)
}

function globalOptions(): Option[] {
  return [
    new Option('--home <dir>', 'folder of the identity and its node (SOUK_HOME)'),
    new Option('--json', 'answer in JSON, with the fields of the API'),
    new Option('--fields <names>', 'only these, separated by commas; dots lead into objects: price.minor'),
    new Option('--timeout <seconds>', 'give up after this long'),
    new Option('--no-input', 'never ask, even on a terminal'),
    new Option('-y, --yes', 'take every question as answered with yes')
  ]
}

const exitStatusHelp = `
Exit status: 0 done, 1 failed, 2 wrong usage, 4 not authorised, 5 not found, 6 conflict,
             7 node unreachable, 8 timed out, 130 cancelled.
Answers are tables on a terminal, tab-separated lines in a pipe, JSON with --json.`

/** `souk help listing create` as people type it; commander knows one level only. */
function helpLast(argv: readonly string[]): string[] {
  return argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv]
}

function reportUsage(error: CommanderError, host: Host, argv: readonly string[]): number {
  if (error.exitCode === 0) return 0
  // Commander wrote the help already where a noun came without a verb.
  if (error.code === 'commander.help') return 2
  const [first = error.message, suggestion] = error.message.replace(/^error: /, '').split('\n')
  const hint = suggestion?.replace(/^\(|\)$/g, '') ?? 'see --help'
  report(new CliError('usage', first, { hint }), host, argv)
  return 2
}

/** Errors go to stderr: for a person as `code: message`, with `--json` as one object. */
function report(error: unknown, host: Host, argv: readonly string[]): void {
  const { code, message, hint } = showError(error)
  if (argv.includes('--json')) {
    host.stderr.write(`${printableJson({ error: { code, message, ...(hint === undefined ? {} : { hint }) } })}\n`)
    return
  }
  host.stderr.write(`${printable(code)}: ${printableLines(message).replaceAll('\n', '\n  ')}\n`)
  if (hint !== undefined) host.stderr.write(`  ${printable(hint)}\n`)
  if (code === 'internal' && error instanceof Error && host.env['SOUK_DEBUG']) host.stderr.write(`${error.stack}\n`)
}
