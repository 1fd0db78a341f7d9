/** What a person may set: `config.yaml` in the home folder, and the flags of `souk start` over it. */
import type { ChainInit, NetworkInit, TrustInit } from '@souk/node'
import { categories, type Channel, type Did } from '@souk/records'
import { parse } from 'yaml'
import * as z from 'zod'
import { CliError } from './errors.ts'
import { type Home, readOptional } from './home.ts'
import { readText } from './input.ts'

const channelNames: ReadonlySet<string> = new Set([
  'people',
  'feedback',
  ...categories.map(({ id }) => `listings/${id}`)
])
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'is not an EVM address')
  .toLowerCase()
const multiaddr = z.string().startsWith('/', 'is not a multiaddr, such as /ip4/127.0.0.1/tcp/4001').max(512)
const channel = z.custom<Channel>(
  (value) => typeof value === 'string' && channelNames.has(value),
  `is no channel; there are ${[...channelNames].join(', ')}`
)
/** Digits, as a string where YAML would make a float of them. */
const minor = z.union([z.int().min(0), z.string().regex(/^\d{1,39}$/, 'is not a whole number')]).transform(BigInt)

const token = z.strictObject({
  address,
  symbol: z.string().min(1).max(16),
  decimals: z.int().min(0).max(36),
  pegs: z
    .string()
    .regex(/^[A-Z]{3}$/, 'is not an ISO 4217 code')
    .optional(),
  orderMax: minor.optional()
})

const chain = z.strictObject({
  chain: z.string().regex(/^eip155:[1-9][0-9]{0,15}$/, 'is not a CAIP-2 name, such as eip155:1'),
  rpcUrls: z
    .array(z.url({ protocol: /^https?$/ }))
    .min(1)
    .max(8),
  contract: address,
  confirmations: z.int().min(0).max(1000),
  fromBlock: z.int().min(0).optional(),
  pollMs: z.int().min(100).max(600_000).optional(),
  tokens: z.array(token).min(1).max(32)
})

const config = z.strictObject({
  api: z.strictObject({ port: z.int().min(0).max(65_535).optional() }).optional(),
  network: z
    .strictObject({
      listen: z.array(multiaddr).max(16).optional(),
      announce: z.array(multiaddr).max(16).optional(),
      bootstrap: z.array(multiaddr).max(64).optional(),
      mdns: z.boolean().optional(),
      channels: z.array(channel).min(1).max(64).optional(),
      extraWorkBits: z.int().min(0).max(10).optional()
    })
    .optional(),
  chains: z.array(chain).max(8).optional(),
  trust: z
    .strictObject({
      curators: z.array(z.string().startsWith('did:key:z6Mk')).max(64).optional(),
      rates: z.record(z.string().regex(/^[A-Z]{3}$/), z.number().positive()).optional()
    })
    .optional()
})

/** Settings, as the node and the API take them. */
export interface Config {
  readonly apiPort: number | undefined
  readonly network: NetworkInit
  readonly chains: readonly ChainInit[]
  readonly trust: TrustInit
}

/** Flags of `souk start`, each over its setting in the file. */
export interface ConfigFlags {
  readonly port?: string
  readonly listen?: readonly string[]
  readonly announce?: readonly string[]
  readonly bootstrap?: readonly string[]
  readonly mdns?: boolean
  readonly chainConfig?: string
}

/**
 * Reads the settings.
 *
 * @throws {@link CliError} `bad-config` with the path of the first setting that is wrong; `usage` for a flag.
 */
export async function readConfig(home: Home, flags: ConfigFlags = {}): Promise<Config> {
  const bytes = await readOptional(home.config)
  const file =
    bytes === undefined ? {} : check(config, parseYaml(new TextDecoder().decode(bytes), home.config), home.config)
  const chains = flags.chainConfig === undefined ? (file.chains ?? []) : await readChains(flags.chainConfig)
  const { listen, announce, bootstrap, mdns, channels, extraWorkBits } = { ...file.network, ...flagsOfNetwork(flags) }
  return {
    apiPort: flags.port === undefined ? file.api?.port : portOf(flags.port),
    network: withoutUndefined({ listen, announce, bootstrap, mdns, channels, extraWorkBits }),
    chains: chains.map(chainOf),
    trust: withoutUndefined({ curators: file.trust?.curators as Did[] | undefined, rates: file.trust?.rates })
  }
}

/** One chain, a list of them, or an object that has `chains`. */
async function readChains(path: string): Promise<z.output<typeof chain>[]> {
  const value = parseYaml(await readText(path), path)
  const inner = typeof value === 'object' && value !== null && 'chains' in value ? value.chains : value
  return check(z.array(chain).max(8), Array.isArray(inner) ? inner : [inner], path)
}

function flagsOfNetwork(flags: ConfigFlags): NetworkInit {
  const { listen, announce, bootstrap } = flags
  const given = { listen, announce, bootstrap, ...(flags.mdns === false ? { mdns: false } : {}) }
  const result = z.object({ listen: z.array(multiaddr), announce: z.array(multiaddr), bootstrap: z.array(multiaddr) })
  const checked = result.partial().safeParse(withoutUndefined(given))
  if (checked.success) return withoutUndefined(given)
  const issue = checked.error.issues[0]
  throw new CliError('usage', `--${String(issue?.path[0])}: ${issue?.message}`)
}

function portOf(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port < 65_536) return port
  throw new CliError('usage', `"${text}" is not a port`)
}

function parseYaml(text: string, path: string): unknown {
  try {
    // No aliases: settings need none, and a few lines of them expand to gigabytes.
    return parse(text, { prettyErrors: false, maxAliasCount: 0 }) ?? {}
  } catch (cause) {
    throw new CliError('bad-config', `${path} is not YAML: ${(cause as Error).message}`, { cause })
  }
}

function check<T extends z.ZodType>(shape: T, value: unknown, path: string): z.output<T> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const where = issue?.path.map(String).join('.')
  throw new CliError('bad-config', `${path}: ${where === '' ? '' : `${where}: `}${issue?.message}`)
}

function chainOf({ fromBlock, pollMs, tokens, ...rest }: z.output<typeof chain>): ChainInit {
  return {
    ...rest,
    ...withoutUndefined({ fromBlock, pollMs }),
    tokens: tokens.map((token) => withoutUndefined(token) as ChainInit['tokens'][number])
  }
}

/** Leaves out what is not set, so that the default of whoever reads it holds. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}
