import { readdir, statfs } from 'node:fs/promises'
import type { FeedbackDirectory, Mailbox, Network } from '@souk/network'
import type { Channel } from '@souk/records'
import type { Storage } from '@souk/storage'
import type { Carried } from './channels.ts'
import type { RelayConfig } from './config.ts'
import type { EventLoopLag } from './event-loop.ts'
import { exposeFamilies, type Family, type Sample } from './exposition.ts'
import type { Tally } from './tally.ts'

/** What is counted as it happens; everything else is read when somebody asks. */
export interface Tallies {
  readonly checked: Tally<'via' | 'verdict' | 'code'>
  readonly catchUps: Tally<'result'>
  readonly problems: Tally<'code'>
}

/** Where the figures come from. */
export interface MetricsSources {
  readonly network: Network
  readonly storage: Storage
  readonly feedback: FeedbackDirectory
  readonly mailbox: Mailbox
  readonly lag: EventLoopLag
  readonly tallies: Tallies
  readonly config: RelayConfig
  readonly carried: Carried
  readonly isDraining: () => boolean
}

/** Everything about a relay as Prometheus reads it. Names are kept from release to release. */
export async function readMetrics(sources: MetricsSources): Promise<string> {
  const families = [
    ...peerFamilies(sources),
    ...recordFamilies(sources),
    ...keptFamilies(sources),
    ...(await machineFamilies(sources))
  ]
  return exposeFamilies(families)
}

function peerFamilies({ network, config, tallies }: MetricsSources): Family[] {
  const { libp2p, guard } = network
  const connections = libp2p.getConnections()
  const inbound = connections.filter(({ direction }) => direction === 'inbound').length
  const reports = guard.report()
  const banned = reports.filter(({ bannedUntilMs }) => bannedUntilMs !== undefined).length
  return [
    gauge('souk_relay_peers', 'Peers with an open connection.', network.peers().length),
    gauge('souk_relay_connections', 'Open connections.', [
      { labels: { direction: 'inbound' }, value: inbound },
      { labels: { direction: 'outbound' }, value: connections.length - inbound }
    ]),
    gauge('souk_relay_connections_max', 'Connections that the configuration allows.', config.connections.max),
    gauge('souk_relay_streams', 'Open streams by what they are for.', streamSamples(network)),
    gauge('souk_relay_reservations', 'Peers that can be reached through this relay.', reservationsOf(network)),
    gauge('souk_relay_reservations_max', 'Reservations that the configuration allows.', config.circuit.reservationsMax),
    gauge('souk_relay_peers_disliked', 'Peers remembered with anything against them.', reports.length),
    gauge('souk_relay_peers_refused', 'Peers turned away for now because of what they did.', banned),
    counter(
      'souk_relay_records_checked_total',
      'Records from peers by what became of them.',
      tallies.checked.samples()
    ),
    counter('souk_relay_catch_ups_total', 'Catch-ups by this relay that ended well.', tallies.catchUps.samples())
  ]
}

function recordFamilies({ storage, carried, config }: MetricsSources): Family[] {
  return [
    gauge('souk_relay_records', 'Unexpired records held, tombstones included.', recordSamples(storage, carried)),
    gauge('souk_relay_records_max', 'Records that the configuration allows.', config.records.recordsMax),
    gauge('souk_relay_records_bytes', 'Bytes of all records held, as they travel.', storage.records.bytes()),
    gauge('souk_relay_records_bytes_max', 'Bytes of records that the configuration allows.', config.records.bytesMax)
  ]
}

function keptFamilies({ feedback, mailbox, config }: MetricsSources): Family[] {
  const sets = feedback.held()
  const mail = mailbox.held()
  return [
    gauge('souk_relay_located_sets', 'Subjects whose feedback is kept here.', sets.subjects),
    gauge('souk_relay_located_set_records', 'Feedback kept in located sets.', sets.records),
    gauge('souk_relay_mailboxes', 'Identities that have a mailbox here.', mail.recipients),
    gauge('souk_relay_mailboxes_max', 'Mailboxes that the configuration allows.', config.mailbox.recipientsMax),
    gauge('souk_relay_mailbox_envelopes', 'Messages waiting for their recipients.', mail.envelopes),
    gauge('souk_relay_mailbox_bytes', 'Bytes of messages waiting.', mail.bytes),
    gauge('souk_relay_mailbox_bytes_max', 'Bytes of messages that the configuration allows.', config.mailbox.bytesMax)
  ]
}

async function machineFamilies({ storage, lag, tallies, config, isDraining }: MetricsSources): Promise<Family[]> {
  const { user, system } = process.cpuUsage()
  const { bavail, bsize } = await statfs(config.directory)
  const startSeconds = Date.now() / 1000 - process.uptime()
  return [
    gauge(
      'souk_relay_read_only',
      '1 while the disk is full and nothing new is stored.',
      Number(storage.state !== 'ok')
    ),
    gauge('souk_relay_draining', '1 while the relay is being shut down.', Number(isDraining())),
    counter('souk_relay_problems_total', 'What went wrong inside the relay.', tallies.problems.samples()),
    gauge('souk_relay_disk_free_bytes', 'Space left where the relay stores.', bavail * bsize),
    { ...gauge('souk_relay_event_loop_lag_seconds', 'How late timers fire.', lag.samples()), type: 'histogram' },
    gauge('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
    counter('process_cpu_seconds_total', 'User and system time.', (user + system) / 1e6),
    gauge('process_start_time_seconds', 'When the process started, since 1970.', startSeconds),
    gauge('process_open_fds', 'Open file descriptors.', await openFiles())
  ]
}

/** Held of each market by kind. The channel of a record follows from its kind, and is what the store sums by. */
function recordSamples(storage: Storage, carried: Carried): Sample[] {
  return Object.entries(carried).flatMap(([market, channels]) => {
    const counts = { profile: 0, listing: 0, feedback: 0 }
    for (const { channel, count } of storage.sync.partitions({ market, channels })) counts[kindOf(channel)] += count
    return Object.entries(counts).map(([kind, value]) => ({ labels: { market, kind }, value }))
  })
}

function kindOf(channel: Channel): 'profile' | 'listing' | 'feedback' {
  if (channel === 'people') return 'profile'
  return channel === 'feedback' ? 'feedback' : 'listing'
}

/** Streams by service; those of other protocols are few and short. */
const services: readonly (readonly [prefix: string, service: string])[] = [
  ['/meshsub/', 'gossip'],
  ['/souk/sync/', 'catch-up'],
  ['/souk/kad/', 'dht'],
  ['/souk/located-set/', 'located-set'],
  ['/souk/mailbox/', 'mailbox'],
  ['/libp2p/circuit/relay/', 'circuit']
]

function streamSamples({ libp2p }: Network): Sample[] {
  const counts = new Map<string, number>([...services.map(([, service]) => [service, 0] as const), ['other', 0]])
  for (const { streams } of libp2p.getConnections()) {
    for (const { protocol } of streams) {
      const service = services.find(([prefix]) => protocol.startsWith(prefix))?.[1] ?? 'other'
      counts.set(service, (counts.get(service) ?? 0) + 1)
    }
  }
  return Array.from(counts, ([service, value]) => ({ labels: { service }, value }))
}

export function reservationsOf({ libp2p }: Network): number {
  return libp2p.services.relay?.reservations.size ?? 0
}

/** 0 where the system does not tell. */
async function openFiles(): Promise<number> {
  return readdir('/proc/self/fd').then(
    (names) => names.length,
    () => 0
  )
}

function gauge(name: string, help: string, value: number | readonly Sample[]): Family {
  return { name, type: 'gauge', help, samples: typeof value === 'number' ? [{ value }] : value }
}

function counter(name: string, help: string, value: number | readonly Sample[]): Family {
  return { ...gauge(name, help, value), type: 'counter' }
}
