import { randomInt } from 'node:crypto'
import {
  createPhrase,
  type Did,
  type Identity,
  identityFromPhrase,
  nymFromKey,
  openKeystore,
  sealKeystore
} from '@souk/records'
import type { Ask } from './ask.ts'
import { CliError } from './errors.ts'
import { type Home, readIdentity, readOptional, writeIdentity, writePrivate } from './home.ts'

/** An identity as it was put into a home. */
export interface NewIdentity {
  readonly did: Did
  readonly nym: string
  readonly home: string
  readonly restored: boolean
  readonly backedUp: boolean
  /** Where a generated passphrase lies; absent when the person chose one. */
  readonly passphraseFile?: string
}

/** What an identity is made from. */
export interface NewIdentityInit {
  /** Absent: a new one. */
  readonly phrase?: string
  readonly passphrase: string
  readonly name?: string
  readonly nowMs: number
}

/**
 * Puts an identity into an empty home. The keystore comes last but one: a crash before it leaves an empty home, after
 * it a whole identity.
 *
 * @throws {@link CliError} `already-initialised`: a keystore is never written over.
 */
export async function createIdentity(
  home: Home,
  init: NewIdentityInit
): Promise<{ identity: Identity; phrase: string }> {
  await requireEmpty(home)
  const phrase = init.phrase ?? createPhrase()
  const identity = identityFromPhrase(phrase)
  await writePrivate(home.keystore, await sealKeystore(phrase, init.passphrase))
  await writeIdentity(home, {
    did: identity.did,
    createdAtMs: init.nowMs,
    ...(init.phrase === undefined ? {} : { backedUpAtMs: init.nowMs }),
    ...(init.name === undefined ? {} : { pendingName: init.name })
  })
  return { identity, phrase }
}

/** @throws {@link CliError} `already-initialised`. */
export async function requireEmpty(home: Home): Promise<void> {
  if ((await readOptional(home.keystore)) === undefined) return
  throw new CliError('already-initialised', `${home.directory} has an identity already`, {
    hint: 'name another folder with --home, or use it: souk start'
  })
}

/** @throws {@link CliError} `no-identity`; RecordError `wrong-passphrase`, `bad-keystore`. */
export async function openPhrase(home: Home, passphrase: () => Promise<string>): Promise<string> {
  const keystore = await readOptional(home.keystore)
  if (keystore === undefined) {
    throw new CliError('no-identity', `${home.directory} has no identity yet`, { hint: 'make one with: souk init' })
  }
  return openKeystore(keystore, await passphrase())
}

/** Shows the words and asks three of them back. @returns True when they are written down. */
export async function backUp(phrase: string, ask: Ask): Promise<boolean> {
  const words = phrase.split(' ')
  const numbered = words.map((word, index) => `${String(index + 1).padStart(2)}  ${word}`)
  await ask.tell('Write these words down, on paper', numbered.join('\n'))
  const later = 'Later: without them, a lost or broken machine takes the identity and its money along'
  const answer = await ask.choose('They are the only way back to this identity. Have you written them down?', [
    { value: 'now', label: 'Yes, ask me' },
    { value: 'later', label: later }
  ])
  if (answer === 'later') return false
  for (const index of threeOf(words.length)) {
    while ((await ask.text(`Word ${index + 1}`)).trim().toLowerCase() !== words[index]) {
      await ask.tell('Not that one', `Look at word ${index + 1} again.`)
    }
  }
  return true
}

/** Remembers that the words are written down. */
export async function markBackedUp(home: Home, nowMs: number): Promise<void> {
  const identity = await readIdentity(home)
  if (identity !== undefined) await writeIdentity(home, { ...identity, backedUpAtMs: nowMs })
}

export function describeIdentity(identity: Identity): { did: Did; nym: string } {
  return { did: identity.did, nym: nymFromKey(identity.signer.publicKey) }
}

/** Three places, in ascending order. */
function threeOf(count: number): number[] {
  const places = new Set<number>()
  while (places.size < 3) places.add(randomInt(count))
  return [...places].toSorted((a, b) => a - b)
}
