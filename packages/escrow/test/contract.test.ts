import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { keccak256 } from 'ethers'
import { describe, expect, it } from 'vitest'
import { escrowAbi, escrowCodeHash } from '@souk/escrow'
import { foundryBinary } from '@souk/escrow/testing'
import { artefactSource } from '../scripts/artefact.ts'
import { compile } from '../scripts/compile.ts'

const here = fileURLToPath(new URL('..', import.meta.url))

interface Suite {
  test_results: Record<string, { status: string; reason: string | null }>
}

/** `SOUK_FUZZ_RUNS` and `SOUK_WALK_STEPS` deepen the random tests: 20,000 each take about a minute. */
async function runForge(): Promise<Map<string, string>> {
  const runs = process.env.SOUK_FUZZ_RUNS
  const env = { ...process.env, ...(runs ? { FOUNDRY_FUZZ_RUNS: runs, FOUNDRY_INVARIANT_RUNS: runs } : {}) }
  const run = promisify(execFile)(foundryBinary('forge'), ['test', '--json'], { cwd: here, env, maxBuffer: 1 << 28 })
  // forge ends with status 1 when a test fails, and has printed its report all the same.
  const { stdout } = await run.catch((error: { stdout: string }) => error)
  const line = stdout.split('\n').find((text) => text.startsWith('{'))
  if (!line) throw new Error(`forge gave no report: ${stdout}`)
  const suites = Object.values(JSON.parse(line) as Record<string, Suite>)
  const results = suites.flatMap(({ test_results }) => Object.entries(test_results))
  return new Map(results.map(([name, { status, reason }]) => [name, reason ?? status]))
}

describe('Escrow.sol', () => {
  it('passes its tests in Solidity', { timeout: 300_000 }, async () => {
    const results = await runForge()
    expect(results.size).toBeGreaterThanOrEqual(74)
    expect([...results].filter(([, outcome]) => outcome !== 'Success')).toEqual([])
  })

  it('is what the checked-in artefact was made from', { timeout: 120_000 }, () => {
    const compiled = compile()
    expect(readFileSync(`${here}src/generated/artefact.ts`, 'utf8')).toBe(artefactSource(compiled))
    expect(keccak256(compiled.Escrow.runtime)).toBe(escrowCodeHash)
  })

  it('fits the limit of EIP-170, with no owner, pause or upgrade in its surface', () => {
    const size = (compile().Escrow.runtime.length - 2) / 2
    expect(size).toBeLessThanOrEqual(24_576)
    const names = escrowAbi.filter(({ type }) => type === 'function').map((fragment) => fragment.name)
    expect(names.toSorted().join(' ')).toBe(
      'accept cancel credit dispatch dispute extend fund fundBatch fundWithAuthorization fundWithPermit held ' +
        'multicall orderId refund release revoke rule settle state timeout withdraw withdrawFor'
    )
  })
})
