/**
 * Set reconciliation alone: two parties with ten thousand items each, of which three differ, find out which, in a few
 * messages. `@souk/negentropy` knows nothing of Souk, and speaks Negentropy Protocol V1, as Nostr's NIP-77 does.
 *
 *     node --conditions=@souk/source examples/08-reconcile-two-sets.ts
 */
import { createHash } from 'node:crypto'
import { createItemTree, createItemVector, createReconciler, type Item } from '@souk/negentropy'

/** Any item with a time and a 32-byte id: here, the hash of a name. */
const itemOf = (number: number): Item => ({
  timestampMs: 1_700_000_000_000 + number,
  id: new Uint8Array(createHash('sha256').update(`item ${number}`).digest())
})
const numbers = Array.from({ length: 10_000 }, (_, number) => number)

// A tree is for a set that changes, a vector for one that does not.
const ours = createItemTree(numbers.filter((number) => number !== 7).map(itemOf))
const theirs = createItemVector(numbers.filter((number) => number !== 42).map(itemOf))
ours.insert(itemOf(10_000))

const asking = createReconciler(ours, { initiator: true })
const answering = createReconciler(theirs, { initiator: false })

const sizes: number[] = []
/** Stands for the network: sends one message, and gives the answer. */
function exchange(message: Uint8Array): Uint8Array {
  const { reply = new Uint8Array() } = answering.reconcile(message)
  sizes.push(message.length, reply.length)
  return reply
}

const onlyOurs: Uint8Array[] = []
const onlyTheirs: Uint8Array[] = []
let message: Uint8Array | undefined = asking.initiate()
while (message !== undefined) {
  const { reply, have, need } = asking.reconcile(exchange(message))
  onlyOurs.push(...have)
  onlyTheirs.push(...need)
  message = reply
}

const nameOf = new Map(numbers.concat(10_000).map((number) => [itemOf(number).id.join(), number]))
const name = (ids: Uint8Array[]): string => ids.map((id) => nameOf.get(id.join())).join(', ')
const bytes = sizes.reduce((sum, size) => sum + size, 0)
console.log(`${sizes.length} messages, ${bytes} bytes, where all ids would be ${32 * ours.size}`)
console.log(`to send: ${name(onlyOurs)}; to fetch: ${name(onlyTheirs)}`)
