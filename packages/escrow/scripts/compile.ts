/**
 * Compiles the contracts with solc-js, with the settings that foundry.toml repeats for forge. One place reads the
 * sources, so the artefact, the test that compares it, and the cache all speak of the same input.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JsonFragment } from 'ethers'

export interface Compiled {
  abi: JsonFragment[]
  /** Creation bytecode, 0x-hex. */
  creation: string
  /** Runtime bytecode, 0x-hex; for a contract without immutables exactly what `eth_getCode` answers. */
  runtime: string
}

const require = createRequire(import.meta.url)
const here = fileURLToPath(new URL('..', import.meta.url))
const library = dirname(require.resolve('@openzeppelin/contracts/package.json'))
const names = ['Escrow', 'TestToken'] as const

/** Compiles both contracts, or takes them from the cache when sources, settings and compiler are the same. */
export function compile(): Record<(typeof names)[number], Compiled> {
  const sources = collectSources()
  const input = JSON.stringify({ language: 'Solidity', sources, settings: settings() })
  const { version } = require('solc/package.json') as { version: string }
  const hash = createHash('sha256').update(version).update(input).digest('hex')
  const path = `${here}.cache/solc/${hash}.json`
  const output = readCached(path) ?? runSolc(input)
  mkdirSync(`${here}.cache/solc`, { recursive: true })
  writeFileSync(path, output)
  return pick(output)
}

/** Legacy pipeline: via-IR took 11 to 34 s and made the code larger. No metadata hash: comments must not move the address. */
function settings(): object {
  return {
    optimizer: { enabled: true, runs: 1000 },
    evmVersion: 'cancun',
    metadata: { bytecodeHash: 'none', appendCBOR: false },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } }
  }
}

function collectSources(): Record<string, { content: string }> {
  const sources: Record<string, { content: string }> = {}
  const visit = (name: string): void => {
    if (sources[name]) return
    const content = readFileSync(
      name.replace(/^@openzeppelin\/contracts/, library).replace(/^contracts/, `${here}contracts`),
      'utf8'
    )
    sources[name] = { content }
    for (const [, from = ''] of content.matchAll(/^import\s[^"]*"([^"]+)";/gm)) visit(resolveImport(name, from))
  }
  for (const name of names) visit(`contracts/${name}.sol`)
  return sources
}

function resolveImport(importer: string, from: string): string {
  return from.startsWith('.') ? new URL(from, `file:///${importer}`).pathname.slice(1) : from
}

function readCached(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function runSolc(input: string): string {
  const solc = require('solc') as { compile(input: string): string }
  return solc.compile(input)
}

function pick(output: string): Record<(typeof names)[number], Compiled> {
  const { errors = [], contracts } = JSON.parse(output) as SolcOutput
  const failures = errors.filter((error) => error.severity === 'error')
  if (failures.length > 0) throw new Error(failures.map((error) => error.formattedMessage).join('\n'))
  const of = (name: (typeof names)[number]): Compiled => {
    const contract = contracts[`contracts/${name}.sol`]?.[name]
    if (!contract) throw new Error(`solc returned no ${name}`)
    const { abi, evm } = contract
    return { abi, creation: `0x${evm.bytecode.object}`, runtime: `0x${evm.deployedBytecode.object}` }
  }
  return { Escrow: of('Escrow'), TestToken: of('TestToken') }
}

interface SolcOutput {
  errors?: { severity: string; formattedMessage: string }[]
  contracts: Record<
    string,
    Record<string, { abi: JsonFragment[]; evm: { bytecode: { object: string }; deployedBytecode: { object: string } } }>
  >
}
