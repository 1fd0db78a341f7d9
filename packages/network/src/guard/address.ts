import { getNetConfig, isNetworkAddress } from '@libp2p/utils'
import { CODE_P2P, CODE_P2P_CIRCUIT, type Multiaddr } from '@multiformats/multiaddr'

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
  return type === 'ip4' || type === 'ip6' ? groupsOfIp(host) : { host, block: host }
}

/** @param ip - As a multiaddr or as a socket has it: `192.0.2.7`, `2001:db8::7`, `::ffff:192.0.2.7`, `fe80::7%eth0`. */
export function groupsOfIp(ip: string): AddressGroups {
  const host = ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice('::ffff:'.length) : ip
  if (host.includes('.')) return { host, block: host.slice(0, host.lastIndexOf('.')) }
  return groupsOfIp6(host.replace(/%.*$/, ''))
}

/** The IP address, or the name, that a connection goes to; undefined for what has none of its own. */
export function hostOf(address: Multiaddr): string | undefined {
  return addressGroups(address)?.host
}

/**
 * Whom a peer counts as where room is shared out: its block of addresses; the relay for those that come through one,
 * as PROTOCOL section 3 says.
 */
export function blockOf(address: Multiaddr): string {
  const groups = addressGroups(address)
  if (groups !== undefined) return groups.block
  const relay = address.getComponents().find(({ code }) => code === CODE_P2P)?.value
  return isRelayed(address) && relay !== undefined ? relay : address.toString()
}

/** True for 127.0.0.0/8 and ::1: processes of this machine. */
export function isLoopback({ host }: AddressGroups): boolean {
  return host.startsWith('127.') || host === '::1' || host === '0:0:0:0:0:0:0:1'
}

export function isRelayed(address: Multiaddr): boolean {
  return address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT)
}

function groupsOfIp6(host: string): AddressGroups {
  const words = wordsOfIp6(host)
  const [mapped, high, low] = [words.slice(0, 6).join(':'), words[6], words[7]]
  if (mapped === '0:0:0:0:0:ffff' && high !== undefined && low !== undefined) {
    const bytes = [high, low].map((word) => parseInt(word, 16)).flatMap((word) => [word >> 8, word & 255])
    return { host: bytes.join('.'), block: bytes.slice(0, 3).join('.') }
  }
  return { host: words.join(':'), block: words.slice(0, 3).join(':') }
}

/** Eight words without leading zeros; multiaddrs print addresses in hexadecimal words only. */
function wordsOfIp6(host: string): string[] {
  const [left = [], right] = host.split('::').map((half) => half.split(':').filter(Boolean))
  if (right === undefined) return left
  return [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
}
