/**
 * Writes until it is killed. Argument: a directory, the number of the round. Prints a line when a write has been
 * acknowledged: the ids of its records, or the name of its order event.
 */
import { createStorage } from '../src/index.ts'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { batchRecords, crashOrder } from './crash.ts'

const [directory = '', round = '0'] = process.argv.slice(2)
const storage = await createStorage({ directory, now: () => nowMs, search: 'off' })

async function writeRecords(): Promise<never> {
  for (let n = 0; ; n++) {
    const signer = author(Number(round) * 10_000 + n)
    const batch = Array.from({ length: batchRecords }, (_, at) => listing(signer, { key: `el.${round}xxxxxx${at}` }))
    await storage.records.put(batch)
    process.stdout.write(`records ${batch.map(({ id }) => id).join(' ')}\n`)
  }
}

async function writeOrders(): Promise<never> {
  for (let n = 0; ; n++) {
    const id = `${round}-${n}`
    const bytes = new TextEncoder().encode(id)
    await storage.orders.append({ order: crashOrder, events: [{ id, bytes }], outbox: [{ id, to: 'bo', bytes }] })
    process.stdout.write(`event ${id}\n`)
  }
}

await Promise.all([writeRecords(), writeOrders()])
