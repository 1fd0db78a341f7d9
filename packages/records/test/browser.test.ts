import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { type OutputChunk, rolldown } from 'rolldown'
import { beforeAll, expect, test } from 'vitest'
import type { InvalidRecord, ValidRecord } from './generators/records.ts'

/** What a browser has of what this package uses; typed arrays are this realm's, so that `instanceof` holds. */
const browser = { ArrayBuffer, DataView, Uint8Array, Uint32Array, BigUint64Array, TextEncoder, TextDecoder, crypto }
const vectors = readFileSync(new URL('vectors/records.json', import.meta.url), 'utf8')
let chunk: OutputChunk

beforeAll(async () => {
  const build = await rolldown({
    input: fileURLToPath(new URL('../src/index.ts', import.meta.url)),
    platform: 'browser',
    resolve: { conditionNames: ['@souk/source', 'browser', 'import', 'default'] }
  })
  const { output } = await build.generate({ format: 'iife', name: 'souk', minify: true })
  chunk = output[0]
  await build.close()
})

test('a browser’s bundle imports nothing: no node: module is reachable', () => {
  expect(chunk.imports).toEqual([])
  expect(chunk.moduleIds.filter((id) => id.includes('platform-'))).toEqual([
    expect.stringContaining('platform-portable.ts')
  ])
})

test('it stays below 300 kB, minified', () => {
  expect(chunk.code.length).toBeLessThan(300_000)
})

test('it opens what Node opens and refuses what Node refuses', () => {
  const context = createContext({ ...browser, vectors })
  const judged = runInContext(`${chunk.code};(${judge.toString()})(souk, JSON.parse(vectors))`, context) as string
  const { valid, invalid } = JSON.parse(vectors) as { valid: ValidRecord[]; invalid: InvalidRecord[] }
  expect(JSON.parse(judged)).toEqual([...valid.map(({ id }) => id), ...invalid.map(({ code }) => code)])
})

/** Runs inside: the ids of what opens, the codes of what does not. */
function judge(
  souk: Pick<typeof import('@souk/records'), 'openRecord'>,
  { valid, invalid }: { valid: ValidRecord[]; invalid: InvalidRecord[] }
): string {
  const answers = [...valid, ...invalid].map(({ bytesHex, nowMs }) => {
    const bytes = Uint8Array.from(bytesHex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
    try {
      return souk.openRecord(bytes, { nowMs }).id
    } catch (error) {
      return (error as { code: string }).code
    }
  })
  return JSON.stringify(answers)
}
