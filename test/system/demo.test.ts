import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What the last line of `npm run demo -- --once --json` says. */
interface Said {
  readonly ok: boolean
  readonly steps: readonly {
    readonly name: string
    readonly ok: boolean
    readonly ms: number
    readonly detail: string
  }[]
  readonly balances: Record<'before' | 'after', Record<'seller' | 'buyer' | 'escrow', string>>
  readonly reputation: { readonly expected: number; readonly ratings: number; readonly because: readonly unknown[] }
}

let temporary: string

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'souk-demo-test-'))
})

afterEach(() => rm(temporary, { recursive: true, force: true }))

function startDemo(...flags: string[]) {
  const env = { ...process.env, TMPDIR: temporary }
  const args = ['--conditions=@souk/source', '--disable-warning=ExperimentalWarning', 'packages/devnet/src/bin.ts']
  return spawn(process.execPath, [...args, ...flags], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('the demo tells its story, every step holds, and nothing is left behind', async () => {
  const demo = startDemo('--once', '--json')
  const [stdout, stderr, [status]] = await Promise.all([text(demo.stdout), text(demo.stderr), once(demo, 'exit')])
  if (status !== 0) throw new Error(stderr)
  const said = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Said
  expect(said.steps.filter(({ ok }) => !ok)).toEqual([])
  expect(said).toMatchObject({
    ok: true,
    balances: {
      before: { seller: '0', buyer: '500000000', escrow: '0' },
      after: { seller: '181900000', buyer: '318100000', escrow: '0' }
    },
    reputation: { ratings: 1 }
  })
  expect(said.steps.length).toBeGreaterThanOrEqual(20)
  expect(said.reputation.expected).toBeGreaterThan(0.5)
  expect(said.reputation.because).not.toEqual([])
  // Progress is for people: each step is told on stderr, too.
  for (const { name } of said.steps) expect(stderr).toContain(name)
  expect(await readdir(temporary)).toEqual([])
}, 240_000)

test('killed in the middle, the demo leaves no process behind', async () => {
  const demo = startDemo()
  const pids: number[] = []
  for await (const line of createInterface({ input: demo.stdout })) {
    const found = /processes ([\d, ]+)/.exec(line)?.[1]
    if (found === undefined) continue
    pids.push(...found.split(', ').map(Number))
    break
  }
  expect(pids).toHaveLength(4)
  expect(pids.every(isAlive)).toBe(true)
  demo.kill('SIGKILL')
  await expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([])
}, 120_000)

test('Ctrl-C in the middle ends everybody in order', async () => {
  const demo = startDemo('--json')
  let pids: number[] = []
  for await (const line of createInterface({ input: demo.stderr })) {
    const found = /processes ([\d, ]+)/.exec(line)?.[1]
    if (found === undefined) continue
    pids = found.split(', ').map(Number)
    break
  }
  demo.stderr.resume()
  demo.kill('SIGINT')
  const [status] = (await once(demo, 'exit')) as [number]
  expect(status).toBe(130)
  expect(pids.filter(isAlive)).toEqual([])
  expect(await readdir(temporary)).toEqual([])
}, 120_000)
