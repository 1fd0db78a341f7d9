import { BlockList, isIP } from 'node:net'
import { keyFromDid } from '@souk/records'

/** What an operator lists. */
export interface Listed {
  readonly peers: readonly string[]
  /** IP addresses and ranges in CIDR form. */
  readonly addresses: readonly string[]
  readonly identities: readonly string[]
}

/** One list, quick to ask. */
export interface List {
  readonly peers: ReadonlySet<string>
  /** @param host - An IP address; a name is on no list. */
  hasAddress(host: string): boolean
  /** @param key - 32 bytes, Ed25519. */
  hasIdentity(key: Uint8Array): boolean
}

/** A list that its operator changes while the relay runs; whoever has it sees the new one. */
export interface ChangingList extends List {
  change(listed: Listed): void
}

export function createChangingList(listed: Listed): ChangingList {
  let current = createList(listed)
  const peers = new Set(current.peers)
  return {
    peers,
    hasAddress: (host) => current.hasAddress(host),
    hasIdentity: (key) => current.hasIdentity(key),
    change(next) {
      current = createList(next)
      peers.clear()
      for (const peer of current.peers) peers.add(peer)
    }
  }
}

/** @param listed - Checked, as it comes from a configuration. */
export function createList({ peers, addresses, identities }: Listed): List {
  const ranges = rangesOf(addresses)
  const keys = new Set(identities.map((did) => hexOf(keyFromDid(did))))
  return {
    peers: new Set(peers),
    hasAddress: (host) => addresses.length > 0 && isIP(host) !== 0 && ranges.check(host, familyOf(host)),
    hasIdentity: (key) => keys.size > 0 && keys.has(hexOf(key))
  }
}

function rangesOf(addresses: readonly string[]): BlockList {
  const ranges = new BlockList()
  for (const text of addresses) {
    const [address = '', bits] = text.split('/')
    if (bits === undefined) ranges.addAddress(address, familyOf(address))
    else ranges.addSubnet(address, Number(bits), familyOf(address))
  }
  return ranges
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

function hexOf(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
