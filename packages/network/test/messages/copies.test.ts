import { randomBytes } from '@noble/hashes/utils.js'
import { type Did, didFromKey } from '@souk/records'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Copy, createCopies } from '../../src/messages/copies.ts'
import { envelopeBytesMax, payloadBytesMax, proofsPerCopyMax } from '../../src/messages/limits.ts'
import type { KeyValueStore } from '../../src/store.ts'
import { memoryStore } from '../peers.ts'

const to = didFromKey(randomBytes(32))
const name = { to, messageId: 'order/1 with $igns' }

const copyFor = (device: string, changes: Partial<Copy> = {}): Copy => ({
  ...name,
  device,
  prekey: randomBytes(32),
  envelope: randomBytes(300),
  proofs: [randomBytes(32)],
  payload: randomBytes(10),
  sealedAtMs: 1,
  isLeft: false,
  ...changes
})

const keysIn = async (store: KeyValueStore): Promise<string[]> => {
  const keys: string[] = []
  for await (const key of store.keys({})) keys.push(key)
  return keys
}

test('a copy comes back whole over a restart, at its largest too', async () => {
  const store = memoryStore()
  const largest = {
    envelope: new Uint8Array(envelopeBytesMax).fill(1),
    payload: new Uint8Array(payloadBytesMax).fill(2)
  }
  const copy = copyFor('a', { ...largest, messageId: '~'.repeat(128) })
  await createCopies({ store }).save(copy)
  expect(await createCopies({ store }).get(copy, 'a')).toEqual(copy)
})

test('a copy that was sealed anew answers to the proofs of its last eight envelopes', async () => {
  const store = memoryStore()
  const copies = createCopies({ store })
  const sealed = Array.from({ length: proofsPerCopyMax + 2 }, () => copyFor('a'))
  for (const one of sealed) await copies.save(one)
  const found = await Promise.all(sealed.map(({ proofs }) => copies.findByProof(proofs[0] as Uint8Array)))
  const newest = sealed.at(-1)?.envelope
  expect(found.map((copy) => copy?.envelope)).toEqual([undefined, undefined, ...sealed.slice(2).map(() => newest)])
  await copies.remove({ ...name, device: 'a' })
  expect(await keysIn(store)).toEqual([])
})

test('what is left is what others than the one that acknowledged have not, and nothing of it stays when all have', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 }),
      fc.array(fc.constantFrom<Did>(to, didFromKey(new Uint8Array(32).fill(9))), { minLength: 1, maxLength: 2 }),
      async (devices, recipients) => {
        const store = memoryStore()
        const copies = createCopies({ store })
        for (const did of new Set(recipients)) for (const one of devices) await copies.save(copyFor(one, { to: did }))
        const [first = ''] = devices
        await copies.leaveRest({ ...name, to: recipients[0] as Did }, { except: first })
        const left = (await copies.left()).map(({ device }) => device)
        expect(left.toSorted()).toEqual(devices.slice(1).toSorted())
        for (const device of devices.slice(1)) expect(await copies.left(device)).toHaveLength(1)
        for (const did of new Set(recipients))
          for (const device of devices) await copies.remove({ ...name, to: did, device })
        expect(await keysIn(store)).toEqual([])
      }
    ),
    { numRuns: 30 }
  )
})
