/** What the names and addresses of a configuration look like. What passes here may still not exist. */
import { isIP } from 'node:net'
import { keyFromDid } from '@souk/records'

/** The transports that a relay has: TCP, and WebSocket over it. TLS ends at a proxy in front. */
const transport = String.raw`/(ip4/[\d.]{7,15}|ip6/[\da-f:.]{2,39}|dns[46]?/[\w.-]{1,253})/tcp/\d{1,5}`
const peerId = '[1-9A-HJ-NP-Za-km-z]{46,60}'

export function isPeerId(value: string): boolean {
  return new RegExp(`^${peerId}$`).test(value)
}

export function isListenable(value: string): boolean {
  return new RegExp(`^${transport}(/ws)?$`).test(value)
}

export function isReachable(value: string): boolean {
  return new RegExp(`^${transport}(/ws|/wss|/tls/ws)?$`).test(value)
}

export function isPeerAddress(value: string): boolean {
  return new RegExp(`^${transport}(/ws|/wss|/tls/ws)?/p2p/${peerId}$`).test(value)
}

export function isAddressRange(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/')
  const bitsMax = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (bits === undefined) return bitsMax > 0
  return rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax
}

export function isDid(value: string): boolean {
  try {
    return keyFromDid(value).length === 32
  } catch {
    return false
  }
}
