import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type ConfigFlags, readConfig } from '../src/config.ts'
import { homeOf } from '../src/home.ts'
import { temporaryFolder } from './processes.ts'

const token = '0xAbCdEf0000000000000000000000000000000001'
const chain = {
  chain: 'eip155:31337',
  rpcUrls: ['http://127.0.0.1:8545'],
  contract: token,
  confirmations: 1,
  tokens: []
}
const withToken = {
  ...chain,
  tokens: [{ address: token, symbol: 'EURT', decimals: 6, pegs: 'EUR', orderMax: '500000000' }]
}

async function read(yaml: string | undefined, flags: ConfigFlags = {}) {
  const home = homeOf(await temporaryFolder(), { env: {}, platform: 'linux' })
  if (yaml !== undefined) await writeFile(home.config, yaml)
  return readConfig(home, flags)
}

describe('settings', () => {
  test('need no file', async () => {
    expect(await read(undefined)).toEqual({ apiPort: undefined, network: {}, chains: [], trust: {} })
    expect(await read('')).toEqual({ apiPort: undefined, network: {}, chains: [], trust: {} })
  })

  test('come from the file, and flags win', async () => {
    const yaml =
      'api: {port: 4000}\nnetwork: {mdns: true, listen: [/ip4/0.0.0.0/tcp/1], bootstrap: [/ip4/1.2.3.4/tcp/2]}'
    const config = await read(yaml, { port: '0', mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] })
    expect(config.apiPort).toBe(0)
    expect(config.network).toEqual({
      mdns: false,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: ['/ip4/1.2.3.4/tcp/2']
    })
  })

  test('hold chains with addresses in lower case and amounts as integers', async () => {
    const { chains } = await read(JSON.stringify({ chains: [withToken] }))
    expect(chains[0]?.contract).toBe(token.toLowerCase())
    expect(chains[0]?.tokens[0]).toMatchObject({ address: token.toLowerCase(), orderMax: 500_000_000n })
  })

  test.each([withToken, [withToken], { chains: [withToken] }])('take a file of chains: %o', async (value) => {
    const path = join(await temporaryFolder(), 'chains.json')
    await writeFile(path, JSON.stringify(value))
    expect((await read(undefined, { chainConfig: path })).chains).toHaveLength(1)
  })

  test.each([
    ['[', 'is not YAML'],
    ['apy: {}', 'apy'],
    ['api: {port: 70000}', 'api.port'],
    ['network: {listen: [localhost]}', 'network.listen.0'],
    ['network: {mdns: maybe}', 'network.mdns'],
    [JSON.stringify({ chains: [chain] }), 'chains.0.tokens'],
    [JSON.stringify({ chains: [{ ...withToken, chain: 'ethereum' }] }), 'chains.0.chain'],
    [JSON.stringify({ chains: [{ ...withToken, rpcUrls: ['file:///etc/passwd'] }] }), 'chains.0.rpcUrls.0'],
    [JSON.stringify({ chains: [{ ...withToken, contract: '0x1' }] }), 'chains.0.contract'],
    ['trust: {rates: {EUR: -1}}', 'trust.rates.EUR'],
    ['network: {listen: &a [/ip4/0.0.0.0/tcp/1], announce: *a}', 'not YAML']
  ])('%s is refused, naming %s', async (yaml, where) => {
    await expect(read(yaml)).rejects.toMatchObject({
      code: 'bad-config',
      message: expect.stringContaining(where) as string
    })
  })

  test.each<ConfigFlags>([{ port: '70000' }, { port: 'x' }, { bootstrap: ['example.org:4001'] }])(
    'refuse the flag %o',
    async (flags) => expect(read(undefined, flags)).rejects.toMatchObject({ code: 'usage' })
  )
})
