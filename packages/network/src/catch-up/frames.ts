import { createHash } from 'node:crypto'
import type { Channel } from '@souk/records'
import { FrameReader, FrameWriter } from './bytes.ts'
import { SyncError } from './error.ts'
import { channelsMax, newsRowsMax, partitionsMax, wantedPerRequestMax } from './limits.ts'
import type { Partition, PartitionId } from './source.ts'

/** Which part of a store a question is about. */
export interface Scope {
  readonly market: string
  readonly channels: readonly Channel[]
}

/** What a client asks. docs/protocol/catch-up.md has the bytes. */
export type Question =
  | { readonly kind: 'partitions'; readonly scope: Scope; readonly summary: Uint8Array }
  | { readonly kind: 'changes'; readonly scope: Scope; readonly epoch: string; readonly after: number }
  | { readonly kind: 'reconcile'; readonly partition: PartitionId; readonly message: Uint8Array }
  | { readonly kind: 'want'; readonly digests: Uint8Array[] }
  | { readonly kind: 'hint' }
  | { readonly kind: 'news'; readonly scope: Scope; readonly epoch: string; readonly after: number }
  | TailQuestion

/** What comes after a stretch that both sides may hold alike. */
export interface TailQuestion {
  readonly kind: 'tail'
  readonly partition: PartitionId
  /** The stretch: everything made before this, so many records, with this fingerprint (16 bytes). */
  readonly beforeMs: number
  readonly count: number
  readonly fingerprint: Uint8Array
  /** Records after the stretch that answers before this one went through. */
  readonly skip: number
}

/** Which epoch and place in it a server's store has reached. */
interface Place {
  readonly epoch: string
  readonly sequence: number
}

export type PartitionsAnswer = Place & { readonly partitions: readonly Omit<Partition, 'market'>[] | 'equal' }
export type ChangesAnswer = Place & { readonly done: boolean; readonly digests: Uint8Array[] }
export type NewsAnswer = Place & { readonly done: boolean; readonly records: Uint8Array[] }
export interface TailAnswer extends WantAnswer {
  /** Records after those; undefined when the stretch is not the same. */
  readonly left: number | undefined
}
export interface WantAnswer {
  /** How many ids of the question, from its start, this answers; the rest is to be asked again. */
  readonly consumed: number
  readonly records: Uint8Array[]
}

const ops = { partitions: 1, changes: 2, reconcile: 3, want: 4, hint: 5, news: 6, tail: 7, refusal: 0xff } as const
const answerBit = 0x80
const digestBytes = 32
const fingerprintBytes = 16

export function encodeQuestion(question: Question): Uint8Array {
  const writer = new FrameWriter().uint8(ops[question.kind])
  switch (question.kind) {
    case 'partitions':
      return writeScope(writer, question.scope).bytes(question.summary).finish()
    case 'changes':
    case 'news':
      return writeScope(writer, question.scope).text(question.epoch).uint53(question.after).finish()
    case 'reconcile': {
      const { market, channel, day } = question.partition
      return writer.text(market).text(channel).uint32(day).bytes(question.message).finish()
    }
    case 'want':
      return question.digests.reduce((to, digest) => to.bytes(digest), writer).finish()
    case 'hint':
      return writer.finish()
    case 'tail': {
      const { partition, beforeMs, count, fingerprint, skip } = question
      writer.text(partition.market).text(partition.channel).uint32(partition.day)
      return writer.uint53(beforeMs).uint32(count).bytes(fingerprint).uint32(skip).finish()
    }
  }
}

/** @throws {@link SyncError} `bad-frame` */
export function decodeQuestion(bytes: Uint8Array): Question {
  const reader = new FrameReader(bytes)
  const op = reader.uint8()
  switch (op) {
    case ops.partitions: {
      const question = {
        kind: 'partitions',
        scope: readScope(reader),
        summary: reader.bytes(fingerprintBytes)
      } as const
      reader.end()
      return question
    }
    case ops.changes:
    case ops.news: {
      const question = {
        kind: op === ops.news ? 'news' : 'changes',
        scope: readScope(reader),
        epoch: reader.text(),
        after: reader.uint53()
      } as const
      reader.end()
      return question
    }
    case ops.reconcile: {
      const partition = { market: reader.text(), channel: reader.text() as Channel, day: reader.uint32() }
      return { kind: 'reconcile', partition, message: reader.rest() }
    }
    case ops.want:
      return { kind: 'want', digests: readDigests(reader, wantedPerRequestMax) }
    case ops.hint:
      reader.end()
      return { kind: 'hint' }
    case ops.tail: {
      const question = {
        kind: 'tail',
        partition: { market: reader.text(), channel: reader.text() as Channel, day: reader.uint32() },
        beforeMs: reader.uint53(),
        count: reader.uint32(),
        fingerprint: reader.bytes(fingerprintBytes),
        skip: reader.uint32()
      } as const
      reader.end()
      return question
    }
    default:
      throw new SyncError('bad-frame', `${op} is no question`)
  }
}

export function encodePartitions(answer: PartitionsAnswer, { channels }: Scope): Uint8Array {
  const writer = writePlace(new FrameWriter().uint8(ops.partitions | answerBit), answer)
  if (answer.partitions === 'equal') return writer.uint8(1).finish()
  writer.uint8(0).uint16(answer.partitions.length)
  for (const { channel, day, count, fingerprint } of answer.partitions) {
    writer.uint8(channels.indexOf(channel)).uint32(day).uint32(count).bytes(fingerprint)
  }
  return writer.finish()
}

/** @throws {@link SyncError} `bad-frame`, or what the server refused with. */
export function decodePartitions(bytes: Uint8Array, { channels }: Scope): PartitionsAnswer {
  const reader = openAnswer(bytes, ops.partitions)
  const place = readPlace(reader)
  if (reader.uint8() === 1) {
    reader.end()
    return { ...place, partitions: 'equal' }
  }
  const length = reader.uint16()
  if (length > partitionsMax) throw new SyncError('bad-frame', `${length} partitions are more than ${partitionsMax}`)
  const partitions = Array.from({ length }, () => {
    const channel = channels[reader.uint8()]
    if (channel === undefined) throw new SyncError('bad-frame', 'a partition of a channel that was not asked for')
    const [day, count] = [reader.uint32(), reader.uint32()]
    return { channel, day, count, fingerprint: reader.bytes(fingerprintBytes).slice() }
  })
  reader.end()
  return { ...place, partitions }
}

/** Which place an answer to changes or news speaks of. */
export function decodePlace(answer: Uint8Array): Place {
  const reader = new FrameReader(answer)
  reader.uint8()
  return readPlace(reader)
}

export function encodeChanges(answer: ChangesAnswer): Uint8Array {
  const writer = writePlace(new FrameWriter().uint8(ops.changes | answerBit), answer).uint8(answer.done ? 1 : 0)
  return answer.digests.reduce((to, digest) => to.bytes(digest), writer).finish()
}

/** @throws {@link SyncError} `bad-frame`, or what the server refused with. */
export function decodeChanges(bytes: Uint8Array): ChangesAnswer {
  const reader = openAnswer(bytes, ops.changes)
  const place = readPlace(reader)
  const done = reader.uint8() === 1
  return { ...place, done, digests: readDigests(reader, Infinity) }
}

export function encodeReconciled(message: Uint8Array): Uint8Array {
  return new FrameWriter()
    .uint8(ops.reconcile | answerBit)
    .bytes(message)
    .finish()
}

export function decodeReconciled(bytes: Uint8Array): Uint8Array {
  return openAnswer(bytes, ops.reconcile).rest()
}

export function encodeRecords({ consumed, records }: WantAnswer): Uint8Array {
  return writeRecords(new FrameWriter().uint8(ops.want | answerBit).uint16(consumed), records).finish()
}

/** @throws {@link SyncError} `bad-frame`, or what the server refused with. */
export function decodeRecords(bytes: Uint8Array): WantAnswer {
  const reader = openAnswer(bytes, ops.want)
  const consumed = reader.uint16()
  return { consumed, records: readRecords(reader, consumed) }
}

export function encodeNews({ done, records, ...place }: NewsAnswer): Uint8Array {
  const writer = writePlace(new FrameWriter().uint8(ops.news | answerBit), place).uint8(done ? 1 : 0)
  return writeRecords(writer, records).finish()
}

/** @throws {@link SyncError} `bad-frame`, or what the server refused with. */
export function decodeNews(bytes: Uint8Array): NewsAnswer {
  const reader = openAnswer(bytes, ops.news)
  const place = readPlace(reader)
  const done = reader.uint8() === 1
  return { ...place, done, records: readRecords(reader, newsRowsMax) }
}

export function encodeTail({ left, consumed, records }: TailAnswer): Uint8Array {
  const writer = new FrameWriter().uint8(ops.tail | answerBit)
  if (left === undefined) return writer.uint8(0).finish()
  return writeRecords(writer.uint8(1).uint32(left).uint16(consumed), records).finish()
}

/** @throws {@link SyncError} `bad-frame`, or what the server refused with. */
export function decodeTail(bytes: Uint8Array): TailAnswer {
  const reader = openAnswer(bytes, ops.tail)
  if (reader.uint8() === 0) {
    reader.end()
    return { left: undefined, consumed: 0, records: [] }
  }
  const [left, consumed] = [reader.uint32(), reader.uint16()]
  return { left, consumed, records: readRecords(reader, consumed) }
}

/** The last frame of a server that will not go on. */
export function encodeRefusal(code: 'busy' | 'over-budget'): Uint8Array {
  return new FrameWriter().uint8(ops.refusal).text(code).finish()
}

/**
 * 16 bytes that two peers compare before anything else: SHA-256 over all partitions of a scope in order of channel and
 * day. Equal summaries, equal sets.
 */
export function summaryOf(partitions: readonly Omit<Partition, 'market'>[]): Uint8Array {
  const hash = createHash('sha256')
  const name = ({ channel, day }: Omit<Partition, 'market'>): string => `${channel} ${day.toString().padStart(10, '0')}`
  const sorted = partitions.map((one) => [name(one), one] as const).toSorted(([a], [b]) => (a < b ? -1 : 1))
  for (const [key, { count, fingerprint }] of sorted) hash.update(`${key} ${count}\n`).update(fingerprint)
  return new Uint8Array(hash.digest().subarray(0, fingerprintBytes))
}

function writeScope(writer: FrameWriter, { market, channels }: Scope): FrameWriter {
  writer.text(market).uint8(channels.length)
  for (const channel of channels) writer.text(channel)
  return writer
}

function readScope(reader: FrameReader): Scope {
  const market = reader.text()
  const length = reader.uint8()
  if (length > channelsMax) throw new SyncError('bad-frame', `${length} channels are more than ${channelsMax}`)
  return { market, channels: Array.from({ length }, () => reader.text() as Channel) }
}

function writePlace(writer: FrameWriter, { epoch, sequence }: Place): FrameWriter {
  return writer.text(epoch).uint53(sequence)
}

function readPlace(reader: FrameReader): Place {
  return { epoch: reader.text(), sequence: reader.uint53() }
}

function readDigests(reader: FrameReader, most: number): Uint8Array[] {
  const count = reader.left / digestBytes
  if (!Number.isInteger(count) || count > most) throw new SyncError('bad-frame', `${reader.left} bytes are no ids`)
  return Array.from({ length: count }, () => reader.bytes(digestBytes).slice())
}

function writeRecords(writer: FrameWriter, records: readonly Uint8Array[]): FrameWriter {
  for (const record of records) writer.uint32(record.length).bytes(record)
  return writer
}

function readRecords(reader: FrameReader, most: number): Uint8Array[] {
  const records: Uint8Array[] = []
  while (reader.left > 0) {
    if (records.length === most) throw new SyncError('bad-frame', `more than ${most} records`)
    records.push(reader.bytes(reader.uint32()))
  }
  return records
}

function openAnswer(bytes: Uint8Array, op: number): FrameReader {
  const reader = new FrameReader(bytes)
  const found = reader.uint8()
  if (found === ops.refusal) {
    const code = reader.text()
    throw new SyncError(code === 'over-budget' ? code : 'busy', 'the peer will not go on for now')
  }
  if (found !== (op | answerBit)) throw new SyncError('bad-frame', `${found} is not the answer`)
  return reader
}
