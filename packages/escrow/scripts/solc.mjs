#!/usr/bin/env node
/** What forge expects of a `solc` binary, on solc-js: `--version`, and `--standard-json` from stdin to stdout. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

// forge leaves imports that lie above its root to the compiler, which here has no file system of its own.
const readImport = (path) => {
  try {
    return { contents: readFileSync(path, 'utf8') }
  } catch (cause) {
    return { error: String(cause) }
  }
}

const solc = createRequire(import.meta.url)('solc')

if (process.argv.includes('--version')) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`)
} else if (process.argv.includes('--standard-json')) {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8'), { import: readImport }))
} else {
  process.stderr.write('usage: solc.mjs --version | --standard-json\n')
  process.exitCode = 2
}
