import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** How `souk` is called from here: program and arguments, from the sources where this module runs from them. */
export function soukCommand(): string[] {
  const require = createRequire(import.meta.url)
  const folder = dirname(require.resolve('@souk/cli/package.json'))
  const isSource = import.meta.filename.endsWith('.ts')
  return isSource
    ? [...nodeFromSource, join(folder, 'src', 'bin.ts')]
    : [process.execPath, join(folder, 'dist', 'bin.js')]
}

/** As scripts/run.mjs calls it. */
const nodeFromSource = [
  process.execPath,
  '--conditions=@souk/source',
  '--disable-warning=ExperimentalWarning',
  '--max-semi-space-size=2'
]
