import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

/** Runs a module in a process of its own and returns the packages it has loaded at each `mark(name)`. */
async function loadedBy(source: string): Promise<Record<string, string[]>> {
  const prelude = `
    import { registerHooks } from 'node:module'
    const loaded = new Set(), marks = {}
    registerHooks({ load: (url, context, next) => (loaded.add(url), next(url, context)) })
    const mark = (name) => (marks[name] = [...loaded].map((url) => url.split('/node_modules/').at(-1)))
  `
  const args = [
    '--conditions=@souk/source',
    '--input-type=module',
    '--eval',
    `${prelude}\n${source}\nconsole.log(JSON.stringify(marks))`
  ]
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, maxBuffer: 1 << 24 })
  return JSON.parse(stdout) as Record<string, string[]>
}

const heavy = /^(helia|@helia|sharp|@img)\//

describe('what is in memory', () => {
  test('the package itself loads neither Helia nor sharp', async () => {
    const { opened } = await loadedBy(`await import('../src/index.ts'); mark('opened')`)
    expect(opened!.length).toBeGreaterThan(20)
    expect(opened!.filter((path) => heavy.test(path))).toEqual([])
  })

  test('Helia comes with its first use, as its class alone', async () => {
    const { before, after } = await loadedBy(`
      const { startNode } = await import('./nodes.ts')
      const { cidOf } = await import('../src/index.ts')
      await using node = await startNode()
      mark('before')
      await node.images.get(cidOf(new Uint8Array(3))).catch(() => undefined)
      mark('after')
    `)
    expect(before!.filter((path) => /^@?helia\//.test(path))).toEqual([])
    expect(after).toContain('helia/dist/src/helia.js')
    expect(after!.filter((path) => /^(@helia\/(libp2p|http|bitswap)|@libp2p\/webrtc)\//.test(path))).toEqual([])
  })
})
