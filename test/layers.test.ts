import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/** Which of our packages each may import: the table of ARCHITECTURE.md, top to bottom. */
const layers: Record<string, readonly string[]> = {
  records: [],
  negentropy: [],
  trading: ['records'],
  reputation: [],
  storage: ['records', 'negentropy'],
  escrow: [],
  images: [],
  network: ['records', 'negentropy'],
  node: ['records', 'trading', 'reputation', 'storage', 'escrow', 'images', 'network'],
  relay: ['records', 'storage', 'network'],
  api: ['records', 'node'],
  cli: ['records', 'api', 'node', 'relay'],
  devnet: ['records', 'node', 'relay', 'escrow', 'api', 'cli']
}

/** Heavy libraries that one package alone may import, so that the others stay light. */
const owners: Record<string, readonly string[]> = {
  helia: ['images'],
  sharp: ['images', 'devnet'],
  libp2p: ['network'],
  ethers: ['escrow'],
  level: ['storage'],
  hono: ['api'],
  commander: ['cli']
}

/** Nothing of a platform: these run in a browser. Subpath imports (`#…`) choose a platform by export condition. */
const pure = ['records', 'negentropy', 'trading', 'reputation']

function sourcesOf(name: string): string[] {
  const folder = join(root, 'packages', name, 'src')
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^'.][^']*)'/g)].map((match) => match[1] ?? '')
}

const packages = readdirSync(join(root, 'packages'))

test('every package has its place in the layers', () => {
  expect(packages.toSorted()).toEqual(Object.keys(layers).toSorted())
})

test.each(packages)('%s imports only from the layers above it', (name) => {
  const strangers = sourcesOf(name).flatMap((file) =>
    importsOf(file)
      .filter((specifier) => specifier.startsWith('@souk/'))
      .filter((specifier) => !layers[name]?.includes(specifier.split('/')[1] ?? ''))
      .map((specifier) => `${file} imports ${specifier}`)
  )
  expect(strangers).toEqual([])
})

test.each(packages)('%s imports no library that belongs to another package', (name) => {
  const strangers = sourcesOf(name).flatMap((file) =>
    importsOf(file).filter((specifier) => owners[specifier] !== undefined && !owners[specifier].includes(name))
  )
  expect(strangers).toEqual([])
})

test.each(pure)('%s is pure: no platform module', (name) => {
  const platform = sourcesOf(name)
    .filter((file) => !file.endsWith('-node.ts'))
    .flatMap((file) => importsOf(file).filter((specifier) => specifier.startsWith('node:')))
  expect(platform).toEqual([])
})

test.each(packages)('%s declares the references that it imports', (name) => {
  const config = JSON.parse(readFileSync(join(root, 'packages', name, 'tsconfig.json'), 'utf8')) as {
    references: { path: string }[]
  }
  const declared = config.references.map(({ path }) => path.replace('../', ''))
  expect(declared.toSorted()).toEqual([...(layers[name] ?? [])].toSorted())
})
