/** Messages of the DHT, written by hand: kad-dht's own client would not send these. */

/** Numbers of the message types in kad-dht's protobuf. */
export const types = { putValue: 0, getValue: 1, addProvider: 2, getProviders: 3, findNode: 4 } as const

export interface KadMessage {
  readonly type: (typeof types)[keyof typeof types]
  readonly key: Uint8Array
  /** The record's own key may be another than the message's. */
  readonly record?: { readonly key: Uint8Array; readonly value: Uint8Array }
  readonly provider?: { readonly id: Uint8Array; readonly address: Uint8Array }
}

export function encodeKad({ type, key, record, provider }: KadMessage): Uint8Array {
  return joined([
    Uint8Array.of(0x08, type),
    field(2, key),
    ...(record ? [field(3, joined([field(1, record.key), field(2, record.value)]))] : []),
    ...(provider ? [field(9, joined([field(1, provider.id), field(2, provider.address)]))] : [])
  ])
}

/** A key of bytes that are no text. */
export function keyOf(namespace: string, name: Uint8Array | string): Uint8Array {
  return joined([encoder.encode(`/${namespace}/`), typeof name === 'string' ? encoder.encode(name) : name])
}

const encoder = new TextEncoder()

function field(number: number, bytes: Uint8Array): Uint8Array {
  const length: number[] = []
  for (let rest = bytes.length; rest > 0 || length.length === 0; rest >>>= 7)
    length.push((rest & 127) + (rest > 127 ? 128 : 0))
  return joined([Uint8Array.of((number << 3) | 2, ...length), bytes])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
