import { expect, test } from 'vitest'
import { doctor, isLong, openMarket, publish, trade, untilHeld } from './market.ts'

const hour = 3_600_000

test.each(isLong ? [2 * hour, -2 * hour] : [2 * hour])(
  'a clock %d ms ahead: its owner is told, nobody is banned, nothing is lost',
  async (aheadMs) => {
    await using market = await openMarket({ people: ['Ana', 'Clara'] })
    const [ana, clara] = [market.net.person('Ana'), market.net.person('Clara')]
    await ana.call('PUT /v1/profile', { body: { name: 'Ana' } })
    const preload = new URL('./wrong-clock.ts', import.meta.url).href
    const env = { ...process.env, TEST_AHEAD_MS: String(aheadMs), NODE_OPTIONS: `--import=${preload}` }
    const bruno = await market.net.join({ name: 'Bruno', env })
    await bruno.until('the clock', async () => (await bruno.call('GET /v1/status')).clock.state === 'off')
    const { clock } = await bruno.call('GET /v1/status')
    expect(Math.abs((clock.aheadMs ?? 0) - aheadMs)).toBeLessThan(60_000)
    expect((await doctor(bruno))['clock']).toMatchObject({
      result: 'failed',
      detail: expect.stringContaining('clock-off') as string
    })
    expect(market.log.some((line) => line.startsWith('Bruno') && line.includes('clock-off'))).toBe(true)
    expect((await ana.call('GET /v1/status')).clock.state).toBe('ok')

    // More than would get a sender of untimely records cut off.
    const [his, hers] = [[], []] as [Awaited<ReturnType<typeof publish>>[], Awaited<ReturnType<typeof publish>>[]]
    await bruno.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
    for (let n = 0; n < 12; n++) {
      his.push(await publish(bruno, `From another time ${n}`))
      hers.push(await publish(ana, `From now ${n}`))
      await bruno.call('PUT /v1/profile', { body: { name: `Bruno ${n}`, region: 'DE' } })
      await ana.call('PUT /v1/profile', { body: { name: `Ana ${n}` } })
    }
    await untilHeld(clara, ana, hers)
    // Who is ahead takes what is older; who is behind is believed by others.
    if (aheadMs > 0) await untilHeld(bruno, ana, hers)
    else await untilHeld(ana, bruno, his)
    for (const person of [ana, bruno, clara]) {
      const peers = await person.call('GET /v1/peers')
      expect(peers.filter(({ score, bannedUntilMs }) => score < 0 || bannedUntilMs !== undefined)).toEqual([])
    }

    process.kill(bruno.pid, 'SIGUSR2')
    await bruno.until('the clock', async () => (await bruno.call('GET /v1/status')).clock.state === 'ok')
    await Promise.all([untilHeld(bruno, ana, hers), untilHeld(ana, bruno, his), untilHeld(clara, bruno, his)])
    const [listing] = hers
    const ended = await trade({ seller: ana, buyer: bruno, listing: listing as NonNullable<typeof listing> })
    expect(ended.map(({ reason }) => reason)).toEqual(['accepted', 'accepted'])
  },
  240_000
)
