import { readFileSync } from 'node:fs'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { describe, expect, test } from 'vitest'
import { fold, openEvent, openTerms, reopenEvent, termsHash, TradingError } from '../src/index.ts'
import type { EventVectors } from './generators/events.ts'
import { files } from './generators/generate.ts'
import { type StoryVector, summaryOf } from './generators/stories.ts'
import type { TermsVectors } from './generators/terms.ts'
import { jsonOf } from './world.ts'

const read = (name: keyof typeof files): unknown =>
  JSON.parse(readFileSync(new URL(`vectors/${name}`, import.meta.url), 'utf8'))

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'nothing'
  } catch (error) {
    return error instanceof TradingError ? error.code : `not a TradingError: ${String(error)}`
  }
}

test.each(Object.keys(files) as (keyof typeof files)[])('%s is what generate.ts writes', (name) => {
  expect(read(name)).toEqual(JSON.parse(JSON.stringify(files[name](), jsonOf)))
})

describe('terms.json', () => {
  const { valid, invalid } = read('terms.json') as TermsVectors

  test.each(valid)('valid: $name', ({ bytes, hash }) => {
    expect(() => openTerms(hexToBytes(bytes))).not.toThrow()
    expect(bytesToHex(termsHash(hexToBytes(bytes)))).toBe(hash)
  })

  test.each(invalid)('invalid: $name', ({ bytes, code }) => {
    expect(codeOf(() => openTerms(hexToBytes(bytes)))).toBe(code)
  })
})

describe('events.json', () => {
  const { nowMs, valid, invalid } = read('events.json') as EventVectors

  test.each(valid)('valid: $type', ({ bytes, id, type }) => {
    const event = openEvent(hexToBytes(bytes), { nowMs })
    expect(event).toMatchObject({ id, type })
    expect(reopenEvent(event.bytes)).toEqual(event)
  })

  test.each(invalid)('$code: $name', ({ bytes, code }) => {
    expect(codeOf(() => openEvent(hexToBytes(bytes), { nowMs }))).toBe(code)
  })
})

describe('stories.json', () => {
  test.each(read('stories.json') as StoryVector[])('$name', ({ events, facts, nowMs, state }) => {
    const opened = events.map((bytes) => openEvent(hexToBytes(bytes), { nowMs }))
    const found = fold(
      opened,
      facts.map(({ toSeller, toBuyer, ...fact }) => ({
        ...fact,
        ...(toSeller !== undefined && { toSeller: BigInt(toSeller) }),
        ...(toBuyer !== undefined && { toBuyer: BigInt(toBuyer) })
      })),
      nowMs
    )
    expect(found && JSON.parse(JSON.stringify(summaryOf(found), jsonOf))).toEqual(state)
  })
})
