#!/usr/bin/env node
// Runs one of the project's commands on a fresh clone: installs what is missing, then starts it on the Node that
// the lock file pins. Plain JavaScript for any Node from 20 on, because nothing is installed when it starts.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bin = join(root, 'node_modules', '.bin')
const env = { ...process.env, PATH: bin + delimiter + process.env.PATH }
// Everything runs straight from the TypeScript sources through this export condition; there is no build to forget.
// A small young generation: an idle node then takes 167 MB instead of 212, and what lives longer is promoted soon.
const fromSource = ['--conditions=@souk/source', '--disable-warning=ExperimentalWarning', '--max-semi-space-size=2']

const commands = {
  souk: (args) => [['node', ...fromSource, 'packages/cli/src/bin.ts', ...args]],
  demo: (args) => [['node', ...fromSource, 'packages/devnet/src/bin.ts', ...args]],
  bench: (args) => [['node', '--expose-gc', ...fromSource, 'test/bench/bin.ts', ...args]],
  simulate: (args) => [
    // A thousand nodes are 8 GB. What is to keep a process small makes this one slow: the small young generation a
    // tenth, and collecting the garbage of a heap that does not grow a fifth.
    [
      'node',
      ...fromSource,
      '--max-old-space-size=15000',
      '--max-semi-space-size=64',
      '--no-memory-reducer',
      'test/simulation/bin.ts',
      ...args
    ]
  ],
  test: (args) => [
    ['tsc', '-b'],
    ['vitest', 'run', ...args]
  ],
  check: () => [
    ['oxfmt', '--check'],
    ['oxlint', '--type-aware', '--quiet'],
    ['knip', '--no-config-hints']
  ]
}

/** True when node_modules holds what the lock file names; npm writes what it installed into a hidden lock. */
function installed() {
  const packagesIn = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages
  if (!existsSync(join(root, 'node_modules', '.package-lock.json'))) return false
  const [wanted, present] = [packagesIn('package-lock.json'), packagesIn('node_modules/.package-lock.json')]
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || present[path]?.version === version || (optional === true && present[path] === undefined)
  )
}

/** Runs one command in the foreground, passing signals on, and resolves to its exit status. */
function run([command, ...args], stdio = 'inherit') {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio })
    const pass = (signal) => child.kill(signal)
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, pass)
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, pass)
      resolve(code ?? 128 + (signal === 'SIGINT' ? 2 : 15))
    })
  })
}

const [name, ...args] = process.argv.slice(2)
if (!installed()) {
  process.stderr.write('Installing dependencies (once, about a minute) …\n')
  // npm's own output goes to stderr, so that `--json` on stdout stays parseable.
  const status = await run(['npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error'], ['ignore', 2, 2])
  if (status !== 0) process.exit(status)
}
for (const command of (commands[name] ?? ((rest) => [[name, ...rest]]))(args)) {
  const status = await run(command)
  if (status !== 0) process.exit(status)
}
