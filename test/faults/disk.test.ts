import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ListingView } from '@souk/node'
import { expect, test } from 'vitest'
import { doctor, keysOf, openMarket, publish, trade, untilHeld } from './market.ts'

const execute = promisify(execFile)

/** A disk of its own at a folder; undefined where this process may not mount one. */
async function mountDisk(path: string, megabytes: number): Promise<(AsyncDisposable & { path: string }) | undefined> {
  await mkdir(path, { recursive: true })
  try {
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs', path])
  } catch {
    return undefined
  }
  return { path, [Symbol.asyncDispose]: async () => void (await execute('umount', ['-l', path])) }
}

/** Writes until there is no room for one byte more. */
async function fill(path: string): Promise<void> {
  await using file = await open(path, 'w')
  for (let chunk = 1 << 20; chunk >= 1;) {
    try {
      await file.write(randomBytes(chunk))
    } catch {
      chunk = Math.floor(chunk / 16)
    }
  }
}

test('a full disk: the node starts, says so, reads, trades no more, and goes on when there is room', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'souk-full-'))
  try {
    await using disk = await mountDisk(join(directory, 'bruno'), 80)
    if (disk === undefined) return context.skip('only root may mount the disk that is to be full')
    await using market = await openMarket({ directory })
    const ana = await market.net.join('Ana')
    const bruno = await market.net.join('Bruno')
    await ana.call('PUT /v1/profile', { body: { name: 'Ana' } })
    await bruno.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
    const [first, own] = [await publish(ana, 'There was room'), await publish(bruno, 'Mine')]
    await untilHeld(bruno, ana, [first])

    // Full while it runs.
    await fill(join(disk.path, 'filler'))
    // The last page of the log has room for a few.
    const missed: ListingView[] = []
    await bruno.until('the full disk', async () => {
      missed.push(await publish(ana, `There is none ${missed.length}`))
      return (await bruno.call('GET /v1/status')).storage.state === 'read-only'
    })
    const before = await keysOf(bruno, ana)
    expect(market.log.filter((line) => line.startsWith('Bruno') && line.includes('disk-full'))).not.toEqual([])
    expect(before.size).toBeLessThanOrEqual(missed.length)

    // Full before it starts: not one byte is left, the reserve apart.
    await bruno.stop()
    await fill(join(disk.path, 'filler-2'))
    await bruno.start()
    expect(await bruno.call('GET /v1/status')).toMatchObject({ storage: { state: 'read-only' } })
    expect((await doctor(bruno))['storage']).toMatchObject({ result: 'failed', detail: 'read-only' })
    expect((await keysOf(bruno, ana)).isSupersetOf(before)).toBe(true)
    expect(await keysOf(bruno, bruno)).toEqual(new Set([own.key]))
    // Others still get from it what it has.
    const clara = await market.net.join({ name: 'Clara', bootstrap: bruno.addresses })
    await untilHeld(clara, bruno, [own])

    await rm(join(disk.path, 'filler'))
    await rm(join(disk.path, 'filler-2'))
    const isOk = async (): Promise<boolean> => (await bruno.call('GET /v1/status')).storage.state === 'ok'
    await bruno.until('room', isOk, { timeoutMs: 30_000, everyMs: 500 })
    await untilHeld(bruno, ana, [first, ...missed])
    const ended = await trade({ seller: ana, buyer: bruno, listing: first })
    expect(ended.map(({ reason }) => reason)).toEqual(['accepted', 'accepted'])
    await bruno.kill()
    await bruno.start()
    expect(await bruno.call('GET /v1/orders')).toHaveLength(1)
    expect(await keysOf(bruno, bruno)).toEqual(new Set([own.key]))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}, 240_000)
