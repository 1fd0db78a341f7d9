import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadRelayConfig, RelayError } from '../src/index.ts'

const directory = 'directory: /var/lib/souk-relay'

describe('the example configuration', async () => {
  const example = await readFile(new URL('../packaging/relay.example.yaml', import.meta.url), 'utf8')

  it('is accepted, and lists every key with its default', () => {
    expect(loadRelayConfig(example)).toEqual(loadRelayConfig(directory))
    expect(parse(example)).toEqual(loadRelayConfig(directory))
  })
})

/** What is written, the fault's path, what is said to stand there, and a part of the remedy. */
const refused: readonly (readonly [yaml: string, path: string, value: string | undefined, remedy: string])[] = [
  ['mdns: true', 'directory', undefined, '/var/lib/souk-relay'],
  [`${directory}\nmailbox: {lifeMS: 5}`, 'mailbox.lifeMS', '5', 'no such key; known here: recipientsMax'],
  [`${directory}\nlisten_on: []`, 'listen_on', '[]', 'no such key; known here: directory, listen'],
  [`${directory}\nbudgets: {gossip: {rate: 5}}`, 'budgets.gossip.rate', '5', 'known here: perSecond, burst'],
  [`${directory}\nconnections: {entrance: {waiting: 5}}`, 'connections.entrance.waiting', '5', 'burst, waitingMax'],
  [`${directory}\ntraffic: {bytes: {}}`, 'traffic.bytes', '{}', 'known here: connectionBytes, unaskedBytes'],
  [`${directory}\nbudgets: {refusals: {perSecond: 0}}`, 'budgets.refusals.perSecond', '0', 'from 0.001 to'],
  [`${directory}\noffences: {banAt: -50}`, 'offences.banAt', '-50', 'whole number from 1 to 100; 50 is the default'],
  [`${directory}\ndrainMs: 20s`, 'drainMs', '"20s"', 'whole number from 0 to 600000; 20000 is the default'],
  [`${directory}\nconnections: {max: 0}`, 'connections.max', '0', 'from 1 to 100000'],
  [`${directory}\nconnections: {max: 1.5}`, 'connections.max', '1.5', 'whole number'],
  [`${directory}\ncircuit: {connectionBytes: 1e30}`, 'circuit.connectionBytes', '1e+30', 'whole number'],
  [`${directory}\ncircuit: 512`, 'circuit', '512', 'a map with some of: reservationsMax'],
  [`${directory}\nlisten: /ip4/0.0.0.0/tcp/4010`, 'listen', '"/ip4/0.0.0.0/tcp/4010"', 'must be a list'],
  [`${directory}\nlisten: [0.0.0.0:4010]`, 'listen.0', '"0.0.0.0:4010"', '/ip4/0.0.0.0/tcp/4010'],
  [`${directory}\nlisten: [/dns4/a.example/tcp/443/wss]`, 'listen.0', '"/dns4/a.example/tcp/443/wss"', 'listen on'],
  [`${directory}\nannounce: [relay.example.org]`, 'announce.0', '"relay.example.org"', '/dns4/relay.example.org'],
  [`${directory}\nbootstrap: [/dns4/a.example/tcp/4010]`, 'bootstrap.0', '"/dns4/a.example/tcp/4010"', '/p2p/'],
  [`${directory}\nmarkets: {main: [listings/nonsense]}`, 'markets.main', '["listings/nonsense"]', 'all, or a list'],
  [`${directory}\nmarkets: {Main Street: all}`, 'markets.Main Street', '"Main Street"', 'a-z 0-9'],
  [`${directory}\nhttp: {host: localhost}`, 'http.host', '"localhost"', 'an IP address'],
  [`${directory}\nhttp: {port: 65536}`, 'http.port', '65536', 'from 0 to 65535'],
  [`${directory}\ndeny: {peers: [mallory]}`, 'deny.peers.0', '"mallory"', '12D3KooW'],
  [`${directory}\ndeny: {addresses: [192.0.2.0/33]}`, 'deny.addresses.0', '"192.0.2.0/33"', '192.0.2.0/24'],
  [`${directory}\ndeny: {addresses: [example.org]}`, 'deny.addresses.0', '"example.org"', '192.0.2.7'],
  [`${directory}\nallow: {identities: ['did:web:a.example']}`, 'allow.identities.0', '"did:web:a.example"', 'did:key'],
  ['', '', 'null', 'a map']
]

describe('a configuration that cannot be used', () => {
  it.each(refused)('%j is refused at %j', (yaml, path, value, remedy) => {
    const error = refusalOf(yaml)
    expect(error.code).toBe('config-invalid')
    expect(error.faults.map((fault) => [fault.path, fault.value])).toContainEqual([path, value])
    expect(error.faults.find((fault) => fault.path === path)?.remedy).toContain(remedy)
    expect(error.message).toContain(remedy)
  })

  it('is told all that is wrong with it at once', () => {
    const { faults } = refusalOf(`${directory}\ndrainMs: -1\nhttp: {port: x, prot: 1}`)
    expect(faults.map(({ path }) => path).toSorted()).toEqual(['drainMs', 'http.port', 'http.prot'])
  })

  it('has its long values cut', () => {
    const [fault] = refusalOf(`${directory}\nlisten: [${'x'.repeat(500)}]`).faults
    expect(fault?.value?.length).toBe(81)
  })
})

const unreadable: readonly (readonly [name: string, yaml: string, message: RegExp])[] = [
  ['broken', 'a: [1', /line 1, column/],
  ['with a key twice', `${directory}\n${directory}`, /line 2, column 1/],
  ['of more than 256 KiB', '#'.repeat(256 * 1024 + 1), /262145 characters/],
  ['that multiplies itself', `a: &a [x]\nb: &b [${'*a,'.repeat(9)}]\nc: [${'*b,'.repeat(9)}]`, /alias/]
]

describe('a text that is no configuration', () => {
  it.each(unreadable)('%s is refused', (_name, yaml, message) => {
    const error = refusalOf(yaml)
    expect(error.code).toBe('config-not-yaml')
    expect(error.message).toMatch(message)
  })
})

describe('a configuration in part', () => {
  it('has the defaults for what it leaves out', () => {
    const config = loadRelayConfig(`${directory}\nmailbox: {recipientsMax: 5}\nmarkets: {main: [people, listings/el]}`)
    expect(config.mailbox).toMatchObject({ recipientsMax: 5, envelopesPerRecipientMax: 1000 })
    expect(config.markets).toEqual({ main: ['people', 'listings/el'] })
  })
})

function refusalOf(yaml: string): RelayError {
  try {
    loadRelayConfig(yaml)
  } catch (error) {
    if (error instanceof RelayError) return error
    throw error
  }
  throw new Error('it was accepted')
}
