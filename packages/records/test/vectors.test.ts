import { readFileSync } from 'node:fs'
import { hexToBytes } from '@noble/hashes/utils.js'
import { openRecord } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { files } from './generators/generate.ts'
import { codeOf, type InvalidRecord, type ValidRecord } from './generators/records.ts'

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`vectors/${name}`, import.meta.url), 'utf8'))

test.each(Object.entries(files))('%s is what generate.ts writes', (name, generate) => {
  expect(read(name)).toEqual(JSON.parse(JSON.stringify(generate())))
})

describe('records.json', () => {
  const { valid, invalid } = read('records.json') as { valid: ValidRecord[]; invalid: InvalidRecord[] }

  test.each(valid)('accepts: $name', ({ bytesHex, id, nowMs }) => {
    expect(openRecord(hexToBytes(bytesHex), { nowMs }).id).toBe(id)
  })

  test.each(invalid)('$code: $name', ({ bytesHex, code, nowMs }) => {
    expect(codeOf(hexToBytes(bytesHex), { nowMs })).toBe(code)
  })
})
