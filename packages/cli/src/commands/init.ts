import type { Command } from 'commander'
import type { Ask } from '../ask.ts'
import { CliError } from '../errors.ts'
import { type Home, makeHome } from '../home.ts'
import type { Begin, Invocation } from '../invocation.ts'
import { readText } from '../input.ts'
import type { NewIdentity } from '../identity.ts'
import {
  choosePassphrase,
  generatePassphrase,
  type PassphraseOptions,
  passphraseFrom,
  requireStrong
} from '../passphrase.ts'

/** What `souk init` takes. */
export interface InitOptions extends PassphraseOptions {
  readonly name?: string
  readonly phraseFile?: string
  readonly restore?: boolean
  /** False with `--no-passphrase`. */
  readonly passphrase?: boolean
}

export function addInit(command: Command, begin: Begin): void {
  command
    .option('--name <name>', 'what others read beside what you sell')
    .option('--restore', 'ask for the twelve words of an identity that exists')
    .option('--phrase-file <file>', 'restore from the words in a file; - is standard input')
    .option('--passphrase-file <file>', 'passphrase for the keystore, from a file')
    .option('--passphrase-fd <n>', 'the same from an open descriptor')
    .option('--no-passphrase', 'generate one and keep it beside the keystore')
    .action(
      begin(async (run, options: InitOptions) => {
        const made = await init(run, options)
        await run.out.show(made, {
          columns: [
            { name: 'did', of: ({ did }) => did },
            { name: 'nym', of: ({ nym }) => nym },
            { name: 'home', of: ({ home }) => home },
            { name: 'backedUp', of: ({ backedUp }) => String(backedUp) },
            { name: 'passphraseFile', of: ({ passphraseFile }) => passphraseFile }
          ]
        })
        run.out.note(`\nNext:  ${run.souk} start`)
      })
    )
}

/** Makes an identity: asks a person, or takes files where there is nobody to ask. */
export async function init(run: Invocation, options: InitOptions): Promise<NewIdentity> {
  const { backUp, createIdentity, describeIdentity, markBackedUp, requireEmpty } = await import('../identity.ts')
  const { home, ask, out } = run
  await makeHome(home)
  await requireEmpty(home)
  const phrase = await phraseFrom(options, ask)
  const name = options.name ?? (await ask?.text('Your name, as others see it', { required: false }))
  const passphrase = await passphraseFor(home, options, ask)
  const made = await createIdentity(home, {
    passphrase: passphrase.text,
    nowMs: Date.now(),
    ...(phrase === undefined ? {} : { phrase }),
    ...(name === undefined || name.trim() === '' ? {} : { name: name.trim() })
  })
  if (passphrase.isGenerated) out.warn(generatedWarning(home))
  const backedUp = phrase !== undefined || (ask !== undefined && (await backUp(made.phrase, ask)))
  if (backedUp) await markBackedUp(home, Date.now())
  else out.warn(backUpWarning(run.souk))
  return {
    ...describeIdentity(made.identity),
    home: home.directory,
    restored: phrase !== undefined,
    backedUp,
    ...(passphrase.isGenerated ? { passphraseFile: home.passphrase } : {})
  }
}

/** Said until the words are written down. */
export function backUpWarning(souk: string): string {
  return `This identity is on this disk only. Write its twelve words down:  ${souk} identity phrase`
}

function generatedWarning(home: Home): string {
  return [
    `A passphrase was generated and lies readable beside the keystore, in ${home.passphrase}:`,
    'whoever reads this folder has the identity and its money.'
  ].join('\n')
}

async function phraseFrom({ phraseFile, restore }: InitOptions, ask: Ask | undefined): Promise<string | undefined> {
  if (phraseFile !== undefined) return (await readText(phraseFile, { bytesMax: 4096 })).trim()
  if (restore !== true) return undefined
  if (ask === undefined) {
    throw new CliError('no-terminal', 'there is no terminal to ask for the words', { hint: 'use --phrase-file FILE' })
  }
  return ask.secret('The words, with spaces between')
}

async function passphraseFor(
  home: Home,
  options: InitOptions,
  ask: Ask | undefined
): Promise<{ text: string; isGenerated: boolean }> {
  const told = await passphraseFrom(options)
  if (told !== undefined) return { text: requireStrong(told), isGenerated: false }
  if (options.passphrase === false) return { text: await generatePassphrase(home), isGenerated: true }
  if (ask !== undefined) return { text: await choosePassphrase(ask), isGenerated: false }
  throw new CliError('no-passphrase', 'there is no terminal to ask for a passphrase', {
    hint: 'use --passphrase-file FILE, --passphrase-fd N, or --no-passphrase to have one generated'
  })
}
