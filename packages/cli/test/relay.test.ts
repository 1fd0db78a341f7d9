import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PeerView } from '@souk/node'
import { expect, test } from 'vitest'
import { souk, startDaemon, startLines, temporaryFolder } from './processes.ts'

async function configFile(more = ''): Promise<{ home: string; path: string }> {
  const home = await temporaryFolder()
  const path = join(home, 'relay.yaml')
  await writeFile(path, `directory: ${home}/store\nlisten: [/ip4/127.0.0.1/tcp/0]\nhttp: {port: 0}\n${more}`)
  return { home, path }
}

test('a relay says where it is, and a node starts from it', async () => {
  const { home, path } = await configFile()
  const { lines, child } = startLines(home, ['relay', 'start', '--config', path, '--json'])
  for await (const line of lines) {
    const ready = JSON.parse(line) as { event: string; peerId: string; addresses: string[]; httpUrl: string }
    expect(ready).toMatchObject({ event: 'ready', peerId: expect.stringMatching(/^12D3KooW/) as string })
    expect((await fetch(`${ready.httpUrl}/readyz`)).status).toBe(200)
    const nodeHome = await temporaryFolder()
    const node = await startDaemon(nodeHome, ['--bootstrap', ready.addresses[0] ?? ''])
    const events = startLines(nodeHome, ['events', '--json', '--type', 'gap,peer'])
    for await (const _ of events.lines) {
      const { stdout } = await souk(nodeHome, ['peer', 'list', '--connected', '--json'])
      if ((JSON.parse(stdout) as PeerView[]).some(({ id }) => id === ready.peerId)) break
    }
    events.child.kill()
    expect(await node.stop()).toBe(0)
    break
  }
  child.kill('SIGTERM')
  const [status] = (await once(child, 'close')) as [number]
  expect(status).toBe(0)
}, 120_000)

test('a relay reads its lists again when it is told to, and keeps them when they are wrong', async () => {
  const { home, path } = await configFile()
  const { lines, child, stderr } = startLines(home, ['relay', 'start', '--config', path, '--json'])
  const events = lines[Symbol.asyncIterator]()
  const next = async (): Promise<unknown> => JSON.parse((await events.next()).value as string)
  const { httpUrl } = (await next()) as { httpUrl: string }
  const config = await readFile(path, 'utf8')
  await writeFile(path, `${config}deny: {addresses: [everybody]}\n`)
  child.kill('SIGHUP')
  const [warning] = (await once(stderr, 'data')) as [Buffer]
  expect(warning.toString()).toContain('The lists stay as they were')
  await writeFile(path, `${config}deny: {addresses: [192.0.2.0/24]}\n`)
  child.kill('SIGHUP')
  expect(await next()).toEqual({ event: 'reloaded', removed: { records: 0, feedback: 0, mailboxes: 0 } })
  expect((await fetch(`${httpUrl}/readyz`)).status).toBe(200)
  child.kill('SIGTERM')
  expect(await next()).toEqual({ event: 'stopped' })
}, 120_000)

test('a configuration is checked without starting, and each fault is named', async () => {
  const good = await configFile()
  expect((await souk(good.home, ['relay', 'check', '--config', good.path])).status).toBe(0)
  const bad = await configFile('drainMs: soon\nspeed: 11\n')
  const ran = await souk(bad.home, ['relay', 'check', '--config', bad.path])
  expect(ran).toMatchObject({ status: 1, stdout: '' })
  for (const word of ['config-invalid', 'drainMs', 'speed']) expect(ran.stderr).toContain(word)
})
