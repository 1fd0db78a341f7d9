import { describe, expect, test } from 'vitest'
import { createPhrase, identityFromPhrase } from '@souk/records'
import type { Ask } from '../src/ask.ts'
import { homeOf, readIdentity, readOptional } from '../src/home.ts'
import { backUp, createIdentity, markBackedUp, openPhrase } from '../src/identity.ts'
import { choosePassphrase, requireStrong } from '../src/passphrase.ts'
import { temporaryFolder } from './processes.ts'

const newHome = async () => homeOf(await temporaryFolder(), { env: {}, platform: 'linux' })

/** A person who answers by what is asked, and remembers what was told. */
function person(answers: Partial<Record<keyof Ask, (question: string) => string>>): Ask & { told: string[] } {
  const told: string[] = []
  return {
    told,
    text: async (question) => answers.text?.(question) ?? '',
    secret: async (question) => answers.secret?.(question) ?? '',
    confirm: async () => true,
    choose: async <T extends string>(question: string) => (answers.choose?.(question) ?? 'now') as T,
    tell: async (title, text) => void told.push(`${title}: ${text}`)
  }
}

describe('an identity in a home', () => {
  test('comes back with its passphrase and with no other', async () => {
    const home = await newHome()
    const { identity, phrase } = await createIdentity(home, { passphrase: 'correct horse', nowMs: 1 })
    expect(await openPhrase(home, async () => 'correct horse')).toBe(phrase)
    await expect(openPhrase(home, async () => 'wrong horse')).rejects.toMatchObject({ code: 'wrong-passphrase' })
    expect(await readIdentity(home)).toEqual({ did: identity.did, createdAtMs: 1 })
    const keystore = new TextDecoder().decode(await readOptional(home.keystore))
    expect(phrase.split(' ').filter((word) => keystore.includes(word))).toEqual([])
  })

  test('is never written over', async () => {
    const home = await newHome()
    await createIdentity(home, { passphrase: 'correct horse', nowMs: 1 })
    const before = await readOptional(home.keystore)
    await expect(createIdentity(home, { passphrase: 'other horse', nowMs: 2 })).rejects.toMatchObject({
      code: 'already-initialised'
    })
    expect(await readOptional(home.keystore)).toEqual(before)
  })

  test('is restored from words in any case and spacing, and counts as backed up', async () => {
    const home = await newHome()
    const phrase = createPhrase()
    const shouted = ` ${phrase.toUpperCase().replaceAll(' ', '\n ')} `
    const { identity } = await createIdentity(home, { phrase: shouted, passphrase: 'correct horse', nowMs: 7 })
    expect(identity.did).toBe(identityFromPhrase(phrase).did)
    expect(await openPhrase(home, async () => 'correct horse')).toBe(phrase)
    expect(await readIdentity(home)).toMatchObject({ backedUpAtMs: 7 })
  })

  test('is refused when a word is wrong, and nothing is written', async () => {
    const home = await newHome()
    const made = createIdentity(home, { phrase: 'twelve words that are none', passphrase: 'correct horse', nowMs: 1 })
    await expect(made).rejects.toMatchObject({ code: 'bad-phrase' })
    expect(await readOptional(home.keystore)).toBeUndefined()
  })

  test('that is not there is not found', async () => {
    const opened = openPhrase(await newHome(), async () => 'correct horse')
    await expect(opened).rejects.toMatchObject({ code: 'no-identity' })
  })
})

describe('writing the words down', () => {
  const phrase = createPhrase()
  const words = phrase.split(' ')
  const wordAsked = (question: string): string => words[Number(question.replace('Word ', '')) - 1] ?? ''

  test('three of them are asked back, in order', async () => {
    const asked: number[] = []
    const careful = person({
      text(question) {
        asked.push(Number(question.replace('Word ', '')))
        return wordAsked(question)
      }
    })
    expect(await backUp(phrase, careful)).toBe(true)
    expect(new Set(asked).size).toBe(3)
    expect(asked).toEqual(asked.toSorted((a, b) => a - b))
    expect(words.every((word) => careful.told[0]?.includes(word))).toBe(true)
  })

  test('a wrong word is asked again until it is right', async () => {
    let wrong = 2
    const hasty = person({ text: (question) => (wrong-- > 0 ? 'abacus-no' : ` ${wordAsked(question).toUpperCase()} `) })
    expect(await backUp(phrase, hasty)).toBe(true)
    expect(hasty.told.filter((text) => text.startsWith('Not that one'))).toHaveLength(2)
  })

  test('may be put off', async () => {
    const home = await newHome()
    await createIdentity(home, { passphrase: 'correct horse', nowMs: 1 })
    expect(await backUp(phrase, person({ choose: () => 'later' }))).toBe(false)
    expect((await readIdentity(home))?.backedUpAtMs).toBeUndefined()
    await markBackedUp(home, 5)
    expect((await readIdentity(home))?.backedUpAtMs).toBe(5)
  })
})

describe('a passphrase', () => {
  test('is asked for until the two are the same', async () => {
    const typed = ['correct horse', 'corect horse', 'correct horse', 'correct horse']
    expect(await choosePassphrase(person({ secret: () => typed.shift() ?? '' }))).toBe('correct horse')
    expect(typed).toEqual([])
  })

  test('has eight characters, however many bytes each has', () => {
    expect(() => requireStrong('🐫'.repeat(7))).toThrow(expect.objectContaining({ code: 'weak-passphrase' }) as Error)
    expect(requireStrong('🐫'.repeat(8))).toHaveLength(16)
  })
})
