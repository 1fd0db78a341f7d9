/** Verifies 2,000 signatures and says how many hold: run by `signature-thread.test.ts`, never disposed of. */
import { createVerifier, signerFromKey } from '@souk/records'

const signer = signerFromKey(new Uint8Array(32).fill(9))
const message = new Uint8Array(100)
const claim = { message, publicKey: signer.publicKey, signature: signer.sign(message) }
const { aside } = createVerifier()
let valid = 0
let threads = false
for (let round = 0; round < 50; round++) {
  const holds = await Promise.all(Array.from({ length: 40 }, () => aside(claim)))
  valid += holds.filter(Boolean).length
  threads ||= process.getActiveResourcesInfo().includes('MessagePort')
}
process.stdout.write(JSON.stringify({ valid, threads }))
