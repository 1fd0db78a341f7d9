/** What honest nodes must hold: everything that honest people published and that stands, and nothing that is not true. */
import { type Channel, openRecord, RecordError, type RecordId, recordIdOfDigest, type Verify } from '@souk/records'
import { digestName, type Ledger, type Publication, recordName } from './market.ts'
import type { Peer } from './peer.ts'

/** What is wrong at all honest nodes together. */
export interface Findings {
  /** Pairs of a node and a record that it should have and has not. */
  missing: number
  /** Records held that were superseded or deleted. */
  superseded: number
  /** Bytes held that are no valid record. */
  invalid: number
  /** Pairs that were looked at. */
  wanted: number
  /** The first few, in words. */
  readonly examples: string[]
}

export interface CheckInit {
  readonly ledger: Ledger
  readonly verify: Verify
  readonly nowMs: number
}

const examplesMax = 5
const digestBytes = 32

/** Looks at every record that the nodes hold, byte by byte. */
export async function check(peers: readonly Peer[], init: CheckInit): Promise<Findings> {
  const findings: Findings = { missing: 0, superseded: 0, invalid: 0, wanted: 0, examples: [] }
  const expected = new Map<Channel, Map<string, Publication>>()
  for (const peer of peers) {
    for (const channel of peer.channels) {
      const wanted = expected.get(channel) ?? expectedIn(channel, init)
      expected.set(channel, wanted)
      await checkChannel({ peer, channel, wanted, findings }, init)
    }
  }
  return findings
}

/** Those of the nodes that do not hold yet all that they should. */
export async function lacking(
  peers: readonly Peer[],
  { ledger, nowMs, isWanted }: CheckInit & { isWanted: (id: RecordId) => boolean }
): Promise<Peer[]> {
  const expected = new Map<Channel, readonly string[]>()
  const wantedIn = (channel: Channel): string[] =>
    ledger
      .standing(channel, nowMs)
      .filter(({ record }) => isWanted(record.id))
      .map(({ record }) => recordName(record))
  const lack = async (peer: Peer, channel: Channel): Promise<boolean> => {
    const wanted = expected.get(channel) ?? wantedIn(channel)
    expected.set(channel, wanted)
    const held = await heldBy(peer, channel)
    return wanted.some((name) => !held.has(name))
  }
  const found: Peer[] = []
  for (const peer of peers) {
    for (const channel of peer.channels) {
      if (!(await lack(peer, channel))) continue
      found.push(peer)
      break
    }
  }
  return found
}

function expectedIn(channel: Channel, { ledger, nowMs }: CheckInit): Map<string, Publication> {
  return new Map(ledger.standing(channel, nowMs).map((one) => [recordName(one.record), one]))
}

interface Task {
  readonly peer: Peer
  readonly channel: Channel
  readonly wanted: ReadonlyMap<string, Publication>
  readonly findings: Findings
}

async function checkChannel({ peer, channel, wanted, findings }: Task, init: CheckInit): Promise<void> {
  const held = await heldBy(peer, channel)
  const say = (text: string): void => {
    if (findings.examples.length < examplesMax) findings.examples.push(`${peer.name} ${text}`)
  }
  findings.wanted += wanted.size
  for (const [name, { record, peer: author }] of wanted) {
    if (held.has(name)) continue
    findings.missing++
    say(`has not ${record.id} of ${author.name} in ${channel}`)
  }
  const published = init.ledger.publications
  for (const [name, digest] of held) {
    const id = recordIdOfDigest(digest)
    if (published.has(id) && !wanted.has(name)) {
      findings.superseded++
      say(`still has ${id} in ${channel}`)
    }
  }
  const ids = [...held.values()].map(recordIdOfDigest)
  const stored = (await peer.components?.records.getBytes(ids)) ?? []
  for (const [index, bytes] of stored.entries()) {
    // To the last byte what its author wrote: most of them, and there is no need to open each a hundred times.
    const written = published.get(ids[index] as RecordId)?.record.bytes
    if (bytes === undefined || (written !== undefined && areEqual(bytes, written))) continue
    if (isSound(bytes, peer, init.verify)) continue
    findings.invalid++
    say(`holds what is no record in ${channel}`)
  }
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function isSound(bytes: Uint8Array, peer: Peer, verify: Verify): boolean {
  try {
    openRecord(bytes, { nowMs: peer.nowMs(), verify })
    return true
  } catch (error) {
    if (error instanceof RecordError) return false
    throw error
  }
}

/** Digests held of a channel, by name. */
async function heldBy({ components }: Peer, channel: Channel): Promise<Map<string, Uint8Array>> {
  const held = new Map<string, Uint8Array>()
  if (components === undefined) return held
  const { sync } = components
  for (const partition of await sync.partitions({ market: 'main', channels: [channel] })) {
    const items = await sync.items(partition)
    const ids = items.ids(0, items.size)
    for (let at = 0; at < ids.length; at += digestBytes) {
      const digest = ids.subarray(at, at + digestBytes)
      held.set(digestName(digest), digest)
    }
  }
  return held
}
