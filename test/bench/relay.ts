import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { compare, type Report, scratch } from './measure.ts'
import { cpuSecondsOf, firstLine, rssOf, spawnSouk, stop } from './process.ts'

const reservations = [100, 250, 500]
/** What handshakes leave behind is collected by then. */
const settleMs = 10_000
const restMs = 10_000

/** What a relay takes with nobody, and with nodes that hold a reservation, each with its connection. */
export async function benchRelay(): Promise<Report> {
  await using folder = await scratch()
  const config = join(folder.path, 'relay.yaml')
  await writeFile(
    config,
    `directory: ${join(folder.path, 'relay')}\nlisten: [/ip4/127.0.0.1/tcp/0]\nhttp: {port: 0}\nconnections: {perAddressMax: 5000}\n`
  )
  const relay = spawnSouk(['relay', 'start', '--config', config, '--json'])
  const { addresses } = JSON.parse(await firstLine(relay)) as { addresses: string[] }
  const guests = fork(join(import.meta.dirname, 'relay-guests.ts'), [addresses[0] ?? '', join(folder.path, 'guests')])
  try {
    const idle = await rest(relay)
    const report: Report = {}
    for (const count of reservations) {
      await reserve(guests, count)
      const busy = await rest(relay)
      report[`RSS of a relay with ${count} reservations, against none`] = compare('MB', {
        value: busy.rssMb,
        baseline: idle.rssMb
      })
      report[`CPU of a relay with ${count} reservations, against none`] = compare('% of a core', {
        value: busy.cpuPercent,
        baseline: idle.cpuPercent
      })
    }
    return report
  } finally {
    await stop(guests)
    await stop(relay)
  }
}

/** What a process takes once it has settled. */
async function rest(relay: ChildProcess): Promise<{ rssMb: number; cpuPercent: number }> {
  await wait(settleMs)
  const before = await cpuSecondsOf(relay)
  await wait(restMs)
  const cpuSeconds = (await cpuSecondsOf(relay)) - before
  return { rssMb: (await rssOf(relay)) / 1e6, cpuPercent: (cpuSeconds / restMs) * 1e5 }
}

async function reserve(guests: ChildProcess, count: number): Promise<void> {
  const ended = once(guests, 'exit').then(() => [0])
  const done = once(guests, 'message')
  guests.send(count)
  const [held] = (await Promise.race([done, ended])) as [number]
  if (held !== count) throw new Error(`${held} of ${count} reservations`)
}
