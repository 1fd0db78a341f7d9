/** Writes test/vectors: `node --conditions=@souk/source packages/trading/test/generators/generate.ts`. */
import { writeFileSync } from 'node:fs'
import { jsonOf } from '../world.ts'
import { eventVectors } from './events.ts'
import { storyVectors } from './stories.ts'
import { termsVectors } from './terms.ts'

export const files = { 'terms.json': termsVectors, 'events.json': eventVectors, 'stories.json': storyVectors }

if (import.meta.main) {
  for (const [name, make] of Object.entries(files)) {
    writeFileSync(new URL(`../vectors/${name}`, import.meta.url), `${JSON.stringify(make(), jsonOf, 1)}\n`)
  }
}
