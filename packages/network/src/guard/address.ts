import { getNetConfig, isNetworkAddress } from '@libp2p/utils'
import { CODE_P2P_CIRCUIT, type Multiaddr } from '@multiformats/multiaddr'

/** What an address counts as when connections are limited by where they come from. */
export interface AddressGroups {
  /** The address itself. */
  readonly host: string
  /** The /24 of an IPv4 address, the /48 of an IPv6 one: what one customer of a provider easily has. */
  readonly block: string
}

/** Undefined for what has no network address of its own: relayed connections and in-memory ones. */
export function addressGroups(address: Multiaddr): AddressGroups | undefined {
  if (isRelayed(address) || !isNetworkAddress(address)) return undefined
  const { host, type } = getNetConfig(address)
  if (type === 'ip4') return { host, block: host.split('.').slice(0, 3).join('.') }
  if (type === 'ip6') return groupsOfIp6(host)
  return { host, block: host }
}

/** True for 127.0.0.0/8 and ::1: processes of this machine. */
export function isLoopback({ host }: AddressGroups): boolean {
  return host.startsWith('127.') || host === '::1' || host === '0:0:0:0:0:0:0:1'
}

export function isRelayed(address: Multiaddr): boolean {
  return address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT)
}

function groupsOfIp6(host: string): AddressGroups {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(host)?.[1]
  if (mapped !== undefined) return { host: mapped, block: mapped.split('.').slice(0, 3).join('.') }
  const [head = '', tail = ''] = host.split('::')
  const left = head.split(':').filter(Boolean)
  const right = tail.split(':').filter(Boolean)
  const full = host.includes('::')
    ? [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
    : left
  return { host: full.join(':'), block: full.slice(0, 3).join(':') }
}
