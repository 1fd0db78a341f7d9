import { createHash } from 'node:crypto'
import type { AnyRecord, Channel } from '@souk/records'
import { end, keyOf, mapKey, numberAt, numberBytes, textAt } from './keys.ts'
import { dayMs } from './limits.ts'

/** Records of one channel of one market that expire on one day (UTC, counted from 1970): the unit of catch-up. */
export interface PartitionId {
  readonly market: string
  readonly channel: Channel
  readonly day: number
}

/** A partition with what two peers compare first. */
export interface Partition extends PartitionId {
  readonly count: number
  /** 16 bytes: Negentropy V1's fingerprint over the whole partition. */
  readonly fingerprint: Uint8Array
}

/** What is kept of a partition: enough to change it by one record without reading the others. */
export interface PartitionSum {
  readonly count: number
  readonly bytes: number
  /** Sum of the digests, each a little-endian number, modulo 2^256. */
  readonly sum: bigint
}

export const emptyPartition: PartitionSum = { count: 0, bytes: 0, sum: 0n }

const sumBytes = 32
const dayBytes = 4

/** The expiry day of a record. */
export function dayOf(expiresAtMs: number): number {
  return Math.floor(expiresAtMs / dayMs)
}

export function partitionOf(record: Pick<AnyRecord, 'market' | 'channel' | 'expiresAtMs'>): PartitionId {
  return { market: record.market, channel: record.channel, day: dayOf(record.expiresAtMs) }
}

export function partitionKey({ market, channel, day }: PartitionId): Uint8Array {
  const bytes = new Uint8Array(dayBytes)
  new DataView(bytes.buffer).setUint32(0, day)
  return keyOf(market, end, channel, end, bytes)
}

/** Names the partitions of records that come partition after partition: the last name is remembered. */
export class PartitionNames {
  #last: (PartitionId & PartitionName) | undefined

  of(record: Pick<AnyRecord, 'market' | 'channel' | 'expiresAtMs'>): PartitionName {
    const last = this.#last
    const day = dayOf(record.expiresAtMs)
    if (last !== undefined && last.day === day && last.channel === record.channel && last.market === record.market) {
      return last
    }
    const partition = partitionOf(record)
    const key = partitionKey(partition)
    return (this.#last = { ...partition, key, name: mapKey(key) })
  }
}

/** A {@link partitionKey}, and its map key. */
export interface PartitionName {
  readonly key: Uint8Array
  readonly name: string
}

export function decodePartitionKey(key: Uint8Array): PartitionId {
  const marketEnd = key.indexOf(0)
  const dayAt = key.length - dayBytes
  return {
    market: textAt(key, 0, marketEnd),
    channel: textAt(key, marketEnd + 1, dayAt - 1) as Channel,
    day: new DataView(key.buffer, key.byteOffset + dayAt).getUint32(0)
  }
}

/** The sum after `records` more (or fewer, when negative) of one digest and size. */
export function changed(before: PartitionSum, record: { digest: Uint8Array; bytes: number }, by: 1 | -1): PartitionSum {
  return {
    count: before.count + by,
    bytes: before.bytes + by * record.bytes,
    sum: BigInt.asUintN(256, before.sum + BigInt(by) * littleEndian(record.digest))
  }
}

export function sameSum(a: PartitionSum, b: PartitionSum): boolean {
  return a.count === b.count && a.sum === b.sum && a.bytes === b.bytes
}

export function encodePartition({ count, bytes, sum }: PartitionSum): Uint8Array {
  return keyOf(count, bytes, sumToBytes(sum))
}

export function decodePartition(bytes: Uint8Array): PartitionSum {
  return {
    count: numberAt(bytes, 0),
    bytes: numberAt(bytes, numberBytes),
    sum: littleEndian(bytes.subarray(2 * numberBytes, 2 * numberBytes + sumBytes))
  }
}

/** Negentropy V1, "Fingerprint Algorithm": 16 bytes of SHA-256 over sum and count. */
export function fingerprintOf({ count, sum }: PartitionSum): Uint8Array {
  const hash = createHash('sha256').update(sumToBytes(sum)).update(varint(count)).digest()
  return new Uint8Array(hash.subarray(0, 16))
}

function littleEndian(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, sumBytes)
  let value = 0n
  for (let at = sumBytes - 8; at >= 0; at -= 8) value = (value << 64n) | view.getBigUint64(at, true)
  return value
}

function sumToBytes(sum: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(sumBytes))
  for (let at = 0; at < sumBytes; at += 8) view.setBigUint64(at, BigInt.asUintN(64, sum >> BigInt(8 * at)), true)
  return new Uint8Array(view.buffer)
}

/** Base 128, most significant digit first, all but the last with the high bit. */
function varint(value: number): Uint8Array {
  const digits = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) | 128)
  return Uint8Array.from(digits)
}
