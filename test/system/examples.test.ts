import { execFile } from 'node:child_process'
import { mkdtempDisposable, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const node = join(root, 'node_modules/.bin/node')

/** Each example, and the line of its output that shows that it did what it says. */
const lineOf: Record<string, RegExp> = {
  '01-sell-something.ts': /^    "name": "Red wooden bowl",$/,
  '02-find-it-elsewhere.ts': /^2 lamps up to 50 EUR$/,
  '03-buy-and-pick-up.ts': /^1 rating, expected 0\.\d\d; bought once from \S+, rated 5\.0$/,
  '04-buy-through-escrow.ts': /^released: seller 18500000, buyer 31500000, in escrow 0$/,
  '05-run-a-relay.ts': /^The buyer finds what the seller signed: Paint brushes, used, true$/,
  '06-listen-to-events.ts': /^a listing is gone: hg\.[0-9a-f]{20}$/,
  '07-serve-the-api.ts': /^A visitor may not delete: 403 forbidden$/,
  '08-reconcile-two-sets.ts': /^to send: 42, 10000; to fetch: 7$/,
  '09-verify-a-record.ts': /^Made cheaper: bad-work$/
}

const sourceOf = (name: string): Promise<string> => readFile(join(root, 'examples', name), 'utf8')

test('every example is run here and listed in the README', async () => {
  const names = (await readdir(join(root, 'examples'))).filter((name) => name.endsWith('.ts')).toSorted()
  expect(names).toEqual(Object.keys(lineOf))
  const listed = (await sourceOf('README.md')).matchAll(/^\| \[(\S+\.ts)\]\(\1\)/gm)
  expect(Array.from(listed, ([, name]) => name)).toEqual(names)
})

test.concurrent.each(Object.keys(lineOf))('%s fits on a page and says how it is run', async (name) => {
  const source = await sourceOf(name)
  expect(source.split('\n').length - 1).toBeLessThanOrEqual(60)
  expect(source).toContain(`node --conditions=@souk/source examples/${name}\n */`)
})

test.each(Object.entries(lineOf))(
  '%s ends by itself, prints its line and leaves nothing behind',
  async (name, line) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-examples-'))
    const { stdout } = await promisify(execFile)(node, ['--conditions=@souk/source', `examples/${name}`], {
      cwd: root,
      env: { ...process.env, TMPDIR: folder.path, NODE_OPTIONS: '' },
      timeout: 50_000
    })
    expect(stdout.split('\n')).toContainEqual(expect.stringMatching(line))
    expect(await readdir(folder.path)).toEqual([])
  }
)
