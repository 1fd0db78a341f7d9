import { setTimeout } from 'node:timers/promises'
import { sample, integer } from 'fast-check'
import { expect, test } from 'vitest'
import { isLong, keysOf, openMarket, publish } from './market.ts'

const seed = Number(process.env['SOUK_SEED'] ?? 20_261_122)
const rounds = isLong ? 25 : 4
const writersAtOnce = 4

test(`kill -9 under write load, ${rounds} rounds (seed ${seed}): what was acknowledged is there`, async () => {
  await using market = await openMarket()
  const ana = await market.net.join('Ana')
  const published = new Set<string>()
  /** Asked to be deleted; and those of them of which the node has said that they are. */
  const [deleting, deleted] = [new Set<string>(), new Set<string>()]
  let profile = 0

  const write = async (writer: number): Promise<void> => {
    for (let n = 0; ana.isRunning; n++) {
      const { key } = await publish(ana, `Box ${writer}-${n}`)
      published.add(key)
      if (n % 3 === 2) {
        deleting.add(key)
        await ana.call('DELETE /v1/listings/:id', { params: { id: key } })
        deleted.add(key)
      }
      const name = writer * 1_000_000 + n
      await ana.call('PUT /v1/profile', { body: { name: `Ana ${name}` } })
      if (writer === 0) profile = name
    }
  }
  for (const afterMs of sample(integer({ min: 50, max: 1500 }), { seed, numRuns: rounds })) {
    // They end by the death of the node; what was not acknowledged may be there or not.
    const writers = Array.from({ length: writersAtOnce }, (_, n) => write(n).catch(() => undefined))
    await setTimeout(afterMs)
    await ana.kill()
    await Promise.all(writers)
    await ana.start()
    const held = await keysOf(ana, ana)
    expect([...published].filter((key) => !deleting.has(key) && !held.has(key))).toEqual([])
    expect([...deleted].filter((key) => held.has(key))).toEqual([])
    expect((await ana.call('GET /v1/status')).storage.state).toBe('ok')
  }
  expect(published.size).toBeGreaterThan(rounds)
  expect(profile).toBeGreaterThanOrEqual(0)
  expect(market.log.filter((line) => line.includes('store-damaged'))).toEqual([])
}, 600_000)
