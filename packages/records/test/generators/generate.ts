/**
 * Writes `test/vectors`: `node --conditions=@souk/source packages/records/test/generators/generate.ts`.
 * A test compares what stands there with what is generated, so that a change of format cannot go unseen.
 */
import { writeFileSync } from 'node:fs'
import { identityVectors, keystoreVectors } from './identities.ts'
import { recordVectors } from './records.ts'
import { signatureVectors } from './signatures.ts'
import { workVectors } from './work.ts'

/** Each file of `test/vectors` and what makes it. */
export const files = {
  'records.json': recordVectors,
  'signatures.json': signatureVectors,
  'identities.json': identityVectors,
  'keystores.json': keystoreVectors,
  'work.json': workVectors
}

if (import.meta.main) {
  for (const [name, generate] of Object.entries(files)) {
    writeFileSync(new URL(`../vectors/${name}`, import.meta.url), `${JSON.stringify(await generate(), undefined, 1)}\n`)
  }
}
