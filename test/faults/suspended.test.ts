import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isLong, openMarket, publish, trade, untilHeld } from './market.ts'

const suspendedMs = isLong ? 60_000 : 10_000

test(`suspended for ${suspendedMs / 1000} s: what was missed comes with the first catch-up, and trade goes on`, async () => {
  await using market = await openMarket({ people: ['Ana', 'Bruno'] })
  const [ana, bruno] = [market.net.person('Ana'), market.net.person('Bruno')]
  await ana.call('PUT /v1/profile', { body: { name: 'Ana' } })
  await bruno.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
  const before = await publish(ana, 'Before the lid was closed')
  await untilHeld(bruno, ana, [before])

  process.kill(bruno.pid, 'SIGSTOP')
  const meanwhile = []
  for (let n = 0; n < 20; n++) meanwhile.push(await publish(ana, `Meanwhile ${n}`))
  await setTimeout(suspendedMs)
  process.kill(bruno.pid, 'SIGCONT')
  const wokenAtMs = performance.now()
  await untilHeld(bruno, ana, meanwhile)
  expect(performance.now() - wokenAtMs).toBeLessThan(30_000)
  expect(await bruno.call('GET /v1/status')).toMatchObject({ sync: 'current', storage: { state: 'ok' } })
  const peers = await bruno.call('GET /v1/peers')
  expect(peers.filter(({ score }) => score < 0)).toEqual([])

  const ended = await trade({ seller: ana, buyer: bruno, listing: before })
  expect(ended.map(({ reason }) => reason)).toEqual(['accepted', 'accepted'])
}, 240_000)
