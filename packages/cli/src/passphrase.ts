import { randomBytes } from 'node:crypto'
import type { Ask } from './ask.ts'
import { CliError } from './errors.ts'
import { type Home, readOptional, writePrivate } from './home.ts'
import { readDescriptor, readText } from './input.ts'
import { passphraseBytesMax, passphraseCharsMin, passphraseRandomBytes } from './limits.ts'

/** Ways to say a passphrase without it being in a command line, where every program of the machine can read it. */
export interface PassphraseOptions {
  readonly passphraseFile?: string
  readonly passphraseFd?: string
}

/** @returns What the options name; `undefined` when they name nothing. */
export async function passphraseFrom(options: PassphraseOptions): Promise<string | undefined> {
  if (options.passphraseFile !== undefined) {
    return withoutLineEnd(await readText(options.passphraseFile, { bytesMax: passphraseBytesMax }))
  }
  if (options.passphraseFd === undefined) return undefined
  if (!/^\d{1,5}$/.test(options.passphraseFd)) {
    throw new CliError('usage', `"${options.passphraseFd}" is not the number of a descriptor`)
  }
  const bytes = await readDescriptor(Number(options.passphraseFd), { bytesMax: passphraseBytesMax })
  return withoutLineEnd(new TextDecoder().decode(bytes))
}

/** Makes a passphrase that nobody needs to type and puts it beside the keystore, for the owner's eyes only. */
export async function generatePassphrase(home: Home): Promise<string> {
  const passphrase = randomBytes(passphraseRandomBytes).toString('base64url')
  await writePrivate(home.passphrase, `${passphrase}\n`)
  return passphrase
}

/** Asks for a new passphrase, twice. */
export async function choosePassphrase(ask: Ask): Promise<string> {
  for (;;) {
    const first = requireStrong(await ask.secret('A passphrase that protects this identity on this machine'))
    if ((await ask.secret('The same passphrase again')) === first) return first
    await ask.tell('Not the same', 'The two differ; try again.')
  }
}

/** @throws {@link CliError} `weak-passphrase`. */
export function requireStrong(passphrase: string): string {
  if (Array.from(passphrase).length >= passphraseCharsMin) return passphrase
  throw new CliError('weak-passphrase', `a passphrase has at least ${passphraseCharsMin} characters`)
}

/**
 * The passphrase of a keystore that exists: as told, as generated, or asked for.
 *
 * @throws {@link CliError} `no-passphrase` when nobody can be asked.
 */
export async function unlockWith(home: Home, options: PassphraseOptions, ask: Ask | undefined): Promise<string> {
  const told = await passphraseFrom(options)
  if (told !== undefined) return told
  const generated = await readOptional(home.passphrase)
  if (generated !== undefined) return withoutLineEnd(new TextDecoder().decode(generated))
  if (ask !== undefined) return ask.secret('Passphrase')
  throw new CliError('no-passphrase', 'the keystore has a passphrase, and there is no terminal to ask for it', {
    hint: 'use --passphrase-file FILE, or --passphrase-fd N'
  })
}

/** Editors end a file with a line end; a passphrase has none. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}
