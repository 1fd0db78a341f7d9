/**
 * Writes `test/vectors`: `node --conditions=@souk/source packages/records/test/generators/generate.ts`.
 * A test compares what stands here with what is generated, so that a change of format cannot go unseen.
 */
import { writeFileSync } from 'node:fs'
import { recordVectors } from './records.ts'

export const files = { 'records.json': recordVectors }

if (import.meta.main) {
  for (const [name, generate] of Object.entries(files)) {
    writeFileSync(new URL(`../vectors/${name}`, import.meta.url), `${JSON.stringify(generate(), undefined, 1)}\n`)
  }
}
