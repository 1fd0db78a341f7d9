import { isIP } from 'node:net'
import {
  attemptsPerBlock,
  type Budget,
  catchUpsMax,
  entranceBudget,
  entranceWaitingMax,
  handshakeLimits,
  mailboxLimits,
  pendingPerBlockMax,
  pendingPerHostMax,
  relayLimits,
  replicaLimits,
  requestBudgetDefault,
  requestBudgets,
  sanctions,
  sharesDefault,
  shelfLimits,
  strangersPerSecondFree,
  streamsPerConnectionDefault,
  trafficBudgets,
  unsentBytesDefault
} from '@souk/network'
import { type Channel, workBitsAskedMax } from '@souk/records'
import { storageLimits } from '@souk/storage'
import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { isCarriable } from './channels.ts'
import { type ConfigFault, RelayError } from './errors.ts'
import { isAddressRange, isDid, isListenable, isPeerAddress, isPeerId, isReachable } from './syntax.ts'
import {
  configBytesMax,
  connectionsMax,
  connectionsPerAddressMax,
  connectionsPerBlockMax,
  drainMsDefault,
  httpDefault,
  listenDefault,
  quotedCharsMax,
  reservationsPerBlockMax
} from './limits.ts'

/**
 * The configuration of a relay with everything in it; packaging/relay.example.yaml says what each part is for. Times
 * are milliseconds, sizes bytes.
 */
export type RelayConfig = z.output<typeof configSchema>

/** A configuration as it is written: all but `directory` has a default. */
export type RelayConfigInput = z.input<typeof configSchema>

const hour = 3_600_000
const day = 24 * hour
const gib = 1024 ** 3
/** Once in a quarter of an hour. */
const rateMin = 0.001

const marketRemedy = 'a market has 1 to 64 of a-z 0-9 and hyphens'

const lists = part({
  peers: list(text('a peer id looks like 12D3KooW…', isPeerId)),
  addresses: list(text('an address or a range: 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48', isAddressRange)),
  identities: list(text('an identity looks like did:key:z6Mk…', isDid))
})

const configSchema = strict({
  directory: text('names the directory of the store and the key, such as /var/lib/souk-relay', (path) => path !== ''),
  listen: list(text('an address to listen on looks like /ip4/0.0.0.0/tcp/4010', isListenable), listenDefault),
  announce: list(text('an address to announce looks like /dns4/relay.example.org/tcp/4010', isReachable)),
  bootstrap: list(text('another relay looks like /dns4/relay.example.org/tcp/4010/p2p/12D3KooW…', isPeerAddress)),
  mdns: flag(false),
  markets: z
    .record(
      text(marketRemedy, (name) => /^[a-z0-9-]{1,64}$/.test(name)),
      z.union([z.literal('all'), z.array(z.custom<Channel>(isChannel)).min(1)], {
        error: 'must be all, or a list of channels such as people, feedback, listings/el'
      }),
      { error: ({ code }) => (code === 'invalid_key' ? marketRemedy : 'must be a map of markets, such as {main: all}') }
    )
    .default({ main: 'all' }),
  http: part({
    host: text('must be an IP address', (host) => isIP(host) !== 0).default(httpDefault.host),
    port: port()
  }),
  drainMs: whole(drainMsDefault, { min: 0, max: 10 * 60_000 }),
  connections: part({
    max: whole(connectionsMax, { max: 100_000 }),
    perAddressMax: whole(connectionsPerAddressMax, { max: 100_000 }),
    perBlockMax: whole(connectionsPerBlockMax, { max: 100_000 }),
    streamsMax: whole(streamsPerConnectionDefault, { min: 16, max: 10_000 }),
    countLoopback: flag(false),
    entrance: part({ ...budgetKeys(entranceBudget), waitingMax: whole(entranceWaitingMax, { max: 100_000 }) }),
    handshakesMax: whole(handshakeLimits.max, { max: 100_000 }),
    handshakeMs: whole(handshakeLimits.timeoutMs, { min: 500, max: 60_000 }),
    perAddressPerSecond: whole(handshakeLimits.perHostPerSecond, { max: 100_000 }),
    handshakesPerAddressMax: whole(pendingPerHostMax, { max: 100_000 }),
    handshakesPerBlockMax: whole(pendingPerBlockMax, { max: 100_000 }),
    attemptsPerBlock: budget(attemptsPerBlock),
    unsentBytesMax: whole(unsentBytesDefault, { min: 65_536, max: gib }),
    budgetsPerAddress: whole(sharesDefault.host, { max: 10_000 }),
    budgetsPerBlock: whole(sharesDefault.block, { max: 10_000 })
  }),
  circuit: part({
    reservationsMax: whole(relayLimits.reservationsMax, { min: 0, max: 100_000 }),
    reservationsPerBlockMax: whole(reservationsPerBlockMax, { max: 100_000 }),
    reservationMs: whole(relayLimits.reservationMs, { min: 60_000, max: day }),
    connectionMs: whole(relayLimits.connectionMs, { min: 1000, max: day }),
    connectionBytes: whole(Number(relayLimits.connectionBytes), { min: 1024, max: 1024 * gib })
  }),
  catchUpsMax: whole(catchUpsMax.relay, { max: 10_000 }),
  budgets: part({
    gossip: budget(budgetOf('gossip')),
    gossipControl: budget(budgetOf('gossip-control')),
    catchUp: budget(budgetOf('/souk/sync/1')),
    catchUpWork: budget(budgetOf('sync-work')),
    catchUpHints: budget(budgetOf('sync-hint')),
    dht: budget(budgetOf('/souk/kad/1.0.0')),
    dhtValues: budget(budgetOf('value')),
    locatedSet: budget(budgetOf('/souk/located-set/1')),
    mailbox: budget(budgetOf('/souk/mailbox/1')),
    refusals: budget(budgetOf('refusal')),
    catchUpRefusals: budget(budgetOf('sync-refusal'))
  }),
  offences: part({
    disconnectAt: whole(-sanctions.disconnectScore, { max: 100 }),
    banAt: whole(-sanctions.banScore, { max: 100 }),
    halfLifeMs: whole(sanctions.scoreHalfLifeMs, { min: 1000, max: day }),
    disconnectMs: whole(sanctions.disconnectMs, { min: 1000, max: day }),
    banMs: whole(sanctions.banMs, { min: 1000, max: 30 * day })
  }),
  traffic: part({
    connectionBytes: budget(trafficBudgets.connectionBytes),
    unaskedBytes: budget(trafficBudgets.unaskedBytes),
    strayBytes: budget(trafficBudgets.strayBytes),
    gossipBytes: budget(trafficBudgets.gossipBytes),
    dhtBytes: budget(trafficBudgets.dhtBytes),
    catchUpBytes: budget(trafficBudgets.catchUpBytes),
    circuitBytes: budget(trafficBudgets.circuitBytes),
    otherBytes: budget(trafficBudgets.otherBytes),
    streamFrames: budget(trafficBudgets.streamFrames),
    pingFrames: budget(trafficBudgets.pingFrames),
    smallFrames: budget(trafficBudgets.smallFrames),
    muxerPings: budget(trafficBudgets.muxerPings),
    streamOpenings: budget(trafficBudgets.streamOpenings),
    unusedStreams: budget(trafficBudgets.unusedStreams)
  }),
  records: part({
    recordsMax: whole(storageLimits.recordsMax, { max: 1e9 }),
    bytesMax: whole(storageLimits.bytesMax, { min: 1024 ** 2, max: 1024 * gib }),
    staleMax: whole(storageLimits.staleMax, { min: 0, max: 1e9 })
  }),
  work: part({
    freePerSecond: whole(strangersPerSecondFree, { max: 1e6 }),
    extraBits: whole(0, { min: 0, max: workBitsAskedMax }),
    bitsMax: whole(workBitsAskedMax, { min: 0, max: workBitsAskedMax })
  }),
  dht: part({
    bytesMax: whole(replicaLimits.bytesMax, { min: 0, max: 1024 * gib }),
    bytesPerBlockMax: whole(replicaLimits.bytesPerBlockMax, { max: 1024 * gib }),
    bytesPerPeerMax: whole(replicaLimits.bytesPerPeerMax, { max: 1024 * gib })
  }),
  locatedSets: part({
    recordsMax: whole(shelfLimits.recordsMax, { min: 0, max: 1e8 }),
    recordsPerSubjectMax: whole(shelfLimits.recordsPerSubjectMax, { max: 1e6 }),
    recordsPerAuthorMax: whole(shelfLimits.recordsPerAuthorMax, { max: 1e6 })
  }),
  mailbox: part({
    recipientsMax: whole(mailboxLimits.recipientsMax, { min: 0, max: 1e7 }),
    recipientLifeMs: whole(mailboxLimits.recipientLifeMs, { min: day, max: 1000 * day }),
    lifeMs: whole(mailboxLimits.lifeMs, { min: hour, max: 100 * day }),
    bytesMax: whole(mailboxLimits.bytesMax, { min: 0, max: 1024 * gib }),
    bytesPerRecipientMax: whole(mailboxLimits.bytesPerRecipientMax, { max: 10 * gib }),
    bytesPerConversationMax: whole(mailboxLimits.bytesPerConversationMax, { max: 10 * gib }),
    envelopesPerRecipientMax: whole(mailboxLimits.envelopesPerRecipientMax, { max: 1e6 }),
    envelopesPerConversationMax: whole(mailboxLimits.envelopesPerConversationMax, { max: 1e6 }),
    requestsPerRecipientMax: whole(mailboxLimits.requestsPerRecipientMax, { min: 0, max: 10_000 }),
    envelopesPerAddressMax: whole(mailboxLimits.envelopesPerAddressMax, { max: 1e7 }),
    bytesPerAddressMax: whole(mailboxLimits.bytesPerAddressMax, { max: 1024 * gib }),
    recipientsPerAddressMax: whole(mailboxLimits.recipientsPerAddressMax, { max: 1e7 }),
    firstContactBits: whole(mailboxLimits.firstContactBits, { min: 0, max: 32 })
  }),
  deny: lists,
  allow: lists
})

/**
 * Reads a configuration.
 *
 * @param yaml - YAML 1.2, at most 256 KiB.
 * @throws {@link RelayError} `config-not-yaml`, `config-invalid`: each fault with path, value and remedy.
 */
export function loadRelayConfig(yaml: string): RelayConfig {
  return checkRelayConfig(parseYaml(yaml))
}

/**
 * Checks a configuration and fills in the defaults.
 *
 * @throws {@link RelayError} `config-invalid`.
 */
export function checkRelayConfig(input: unknown): RelayConfig {
  const checked = configSchema.safeParse(input, { reportInput: true })
  if (checked.success) return checked.data
  const faults = checked.error.issues.flatMap(faultsOf)
  const lines = faults.map(
    ({ path, value, remedy }) => `  ${path === '' ? '' : `${path}: `}${value ?? 'nothing'}: ${remedy}`
  )
  throw new RelayError('config-invalid', ['the configuration cannot be used:', ...lines].join('\n'), { faults })
}

function parseYaml(yaml: string): unknown {
  if (yaml.length > configBytesMax) {
    throw new RelayError('config-not-yaml', `${yaml.length} characters are more than the ${configBytesMax} read`)
  }
  const lineCounter = new LineCounter()
  const document = parseDocument(yaml, { lineCounter, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0])
    throw new RelayError('config-not-yaml', `line ${line}, column ${col}: ${error.message}`, { cause: error })
  }
  try {
    return document.toJS({ maxAliasCount: 10 })
  } catch (cause) {
    throw new RelayError('config-not-yaml', (cause as Error).message, { cause })
  }
}

/** One fault for each unknown key, and one for any other issue. */
function faultsOf(issue: z.core.$ZodIssue): ConfigFault[] {
  if (issue.code !== 'unrecognized_keys') {
    return [{ path: issue.path.join('.'), value: quote(issue.input), remedy: issue.message }]
  }
  const known = keysAt(issue.path)
  return issue.keys.map((key) => ({
    path: [...issue.path, key].join('.'),
    value: quote(issue.input?.[key]),
    remedy: `no such key; known here: ${known.join(', ')}`
  }))
}

/** The keys that a part of the configuration has. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let at: unknown = configSchema.parse({ directory: '.' })
  for (const key of path) at = (at as Record<PropertyKey, unknown>)[key]
  return Object.keys(at as object)
}

function quote(value: unknown): string | undefined {
  const json = JSON.stringify(value)
  return json !== undefined && json.length > quotedCharsMax ? `${json.slice(0, quotedCharsMax)}…` : json
}

/** A map that has no keys but these. */
function strict<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const remedy = `must be a map with some of: ${Object.keys(shape).join(', ')}`
  return z.strictObject(shape, { error: ({ code }) => (code === 'invalid_type' ? remedy : undefined) })
}

/** A part of the configuration, which may be left out: then all of it has its defaults. */
function part<Shape extends z.ZodRawShape>(shape: Shape): z.ZodPrefault<z.ZodObject<Shape, z.core.$strict>> {
  return strict(shape).prefault({} as never)
}

function whole(standard: number, { min = 1, max }: { min?: number; max: number }): z.ZodDefault<z.ZodInt> {
  const error = `must be a whole number from ${min} to ${max}; ${standard} is the default`
  return z.int({ error }).min(min, { error }).max(max, { error }).default(standard)
}

function rate(standard: number, { max }: { max: number }): z.ZodDefault<z.ZodNumber> {
  const error = `must be a number from ${rateMin} to ${max}; ${standard} is the default`
  return z.number({ error }).min(rateMin, { error }).max(max, { error }).default(standard)
}

function port(): z.ZodDefault<z.ZodInt> {
  return whole(httpDefault.port, { min: 0, max: 65_535 })
}

function flag(standard: boolean): z.ZodDefault<z.ZodBoolean> {
  return z.boolean({ error: 'must be true or false' }).default(standard)
}

function text(remedy: string, allows: (value: string) => boolean): z.ZodString {
  return z.string({ error: remedy }).refine(allows, { error: remedy })
}

function list(item: z.ZodString, standard: readonly string[] = []): z.ZodDefault<z.ZodArray<z.ZodString>> {
  return z.array(item, { error: 'must be a list; [] is an empty one' }).default([...standard])
}

function budget(standard: Budget): z.ZodPrefault<z.ZodObject<BudgetKeys, z.core.$strict>> {
  return part(budgetKeys(standard))
}

function budgetKeys({ perSecond, burst }: Budget): BudgetKeys {
  return { perSecond: rate(perSecond, { max: 10 * gib }), burst: whole(burst, { max: 10 * gib }) }
}

type BudgetKeys = { perSecond: z.ZodDefault<z.ZodNumber>; burst: z.ZodDefault<z.ZodInt> }

function budgetOf(name: string): Budget {
  return requestBudgets[name] ?? requestBudgetDefault
}

function isChannel(value: unknown): boolean {
  return typeof value === 'string' && isCarriable(value)
}
