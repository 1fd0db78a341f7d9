import type { Command } from 'commander'
import { CliError } from '../errors.ts'
import { readIdentity, writePrivate } from '../home.ts'
import type { Begin, Invocation } from '../invocation.ts'
import { type PassphraseOptions, unlockWith } from '../passphrase.ts'
import { timeText } from '../text.ts'

export function addIdentity(identity: Command, begin: Begin): void {
  identity
    .command('show')
    .description('who this home is, without its passphrase')
    .action(
      begin(async (run) => {
        const file = await readIdentity(run.home)
        if (file === undefined) {
          throw new CliError('no-identity', `${run.home.directory} has no identity yet`, { hint: 'souk init' })
        }
        const view = { did: file.did, createdAtMs: file.createdAtMs, backedUpAtMs: file.backedUpAtMs }
        await run.out.show(view, {
          columns: [
            { name: 'did', of: ({ did }) => did },
            { name: 'created', of: ({ createdAtMs }) => timeText(createdAtMs) },
            { name: 'backedUp', of: ({ backedUpAtMs }) => timeText(backedUpAtMs) || 'no' }
          ]
        })
      })
    )
  identity
    .command('phrase')
    .description('show the twelve words that bring this identity back, and check that they are written down')
    .option('--file <file>', 'write them into a file that only you can read, instead')
    .option('--passphrase-file <file>', 'passphrase of the keystore, from a file')
    .option('--passphrase-fd <n>', 'the same from an open descriptor')
    .action(begin(phrase))
}

/** The words are shown to a person or go into a private file; never into a pipe by accident. */
async function phrase(run: Invocation, options: PassphraseOptions & { readonly file?: string }): Promise<void> {
  const { home, ask, out } = run
  if (ask === undefined && options.file === undefined) {
    throw new CliError('no-terminal', 'there is no terminal to show the words on', { hint: 'use --file FILE' })
  }
  const { backUp, markBackedUp, openPhrase } = await import('../identity.ts')
  const words = await openPhrase(home, () => unlockWith(home, options, ask))
  if (options.file !== undefined) {
    await writePrivate(options.file, `${words}\n`)
    out.note(`Written to ${options.file}, for your eyes only.`)
  } else if (ask !== undefined && !(await backUp(words, ask))) return
  await markBackedUp(home, Date.now())
}
