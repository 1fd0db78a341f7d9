import { createPhrase, openKeystore, sealKeystore } from '@souk/records'
import { expect, test } from 'vitest'

const log2N = 10

test('a phrase comes back with its passphrase, at the cost of real use', async () => {
  const phrase = createPhrase()
  expect(await openKeystore(await sealKeystore(phrase, 'a'), 'a')).toBe(phrase)
})

test('two keystores of one phrase share neither salt nor nonce nor cipher text', async () => {
  const phrase = createPhrase()
  const files = await Promise.all([1, 2].map(() => sealKeystore(phrase, 'a', { log2N })))
  const [one, two] = files.map((file) => JSON.parse(new TextDecoder().decode(file)) as Record<string, unknown>)
  for (const field of ['scrypt', 'nonce', 'sealed']) expect(one?.[field]).not.toEqual(two?.[field])
})

test('a phrase that is none is refused, also one that is in truth the passphrase', async () => {
  await expect(sealKeystore('correct horse', createPhrase(), { log2N })).rejects.toMatchObject({ code: 'bad-phrase' })
})

test('every byte of the file counts', async () => {
  const phrase = createPhrase()
  const file = await sealKeystore(phrase, 'a', { log2N })
  const { format, version, scrypt, nonce, sealed } = JSON.parse(new TextDecoder().decode(file)) as Record<
    string,
    string
  >
  const bumped = (hex: string): string => hex.slice(0, -1) + (hex.endsWith('0') ? '1' : '0')
  const salted = scrypt as unknown as { salt: string; log2N: number }
  const changes = [
    { nonce: bumped(nonce ?? '') },
    { sealed: bumped(sealed ?? '') },
    { scrypt: { ...salted, salt: bumped(salted.salt) } }
  ]
  for (const change of changes) {
    const changed = JSON.stringify({ format, version, scrypt, nonce, sealed, ...change })
    const opening = openKeystore(new TextEncoder().encode(changed), 'a')
    await expect(opening).rejects.toMatchObject({ code: 'wrong-passphrase' })
  }
})
