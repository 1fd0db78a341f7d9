import type { ClockState, Network } from '@souk/network'
import type { CheckReport, Storage } from '@souk/storage'
import type { StatusView } from './node.ts'

export interface HealthComponents {
  readonly storage: Pick<Storage, 'on' | 'opened' | 'state' | 'checked'>
  readonly network: Pick<Network, 'on' | 'peers' | 'catchUp' | 'clocks'>
  /** What a clock that was set right makes necessary. */
  readonly onClockRight: () => Promise<unknown>
  readonly onProblem: (problem: { code: string; message: string }) => void
  readonly onError: (error: unknown) => void
}

/** What is wrong with the machine below: its disk, its files, its clock. */
export interface Health {
  readonly storage: StatusView['storage']['state']
  readonly clock: StatusView['clock']
}

/** Looks after what the machine does to a node, says so, and fetches from peers what it has lost. */
export function watchHealth(components: HealthComponents): Health {
  const { storage, network, onProblem, onError } = components
  let isDamaged = false

  const fetchAgain = (): void => {
    for (const peer of network.peers().slice(0, peersAsked)) network.catchUp(peer).catch(onError)
  }
  const onDamage = (message: string): void => {
    isDamaged = true
    onProblem({ code: 'store-damaged', message })
    fetchAgain()
  }
  const onState = (state: Storage['state']): void => {
    if (state === 'read-only') onProblem({ code: 'disk-full', message: fullMessage })
  }
  const onClock = (clock: ClockState): void => {
    if (clock.state === 'off') onProblem({ code: 'clock-off', message: clockMessage(clock) })
    else {
      fetchAgain()
      components.onClockRight().catch(onError)
    }
  }

  const opened = openingMessage(storage.opened)
  if (opened !== undefined) onDamage(opened)
  // The check at the start may have ended before anybody listened; a store that was closed meanwhile has none.
  let isChecked = false
  const lookAtFirstCheck = async (): Promise<void> => {
    const report = await storage.checked.catch(() => undefined)
    isChecked = true
    if (report !== undefined && report.damaged.length > 0) onDamage(checkMessage(report))
  }
  void lookAtFirstCheck()
  storage.on('damaged', (report) => {
    if (isChecked) onDamage(checkMessage(report))
  })
  storage.on('unmended', (error) => {
    isDamaged = true
    onProblem({ code: 'store-damaged', message: unmendedMessage })
    onError(error)
  })
  onState(storage.state)
  storage.on('state', onState)
  network.on('caught-up', () => (isDamaged = false))
  // Peers may have been asked before anybody listened.
  if (network.clocks.now.state === 'off') onClock(network.clocks.now)
  network.clocks.onChange(onClock)

  return {
    get storage() {
      return storage.state === 'read-only' ? 'read-only' : isDamaged ? 'damaged' : 'ok'
    },
    get clock() {
      const { peers: _, ...clock } = network.clocks.now
      return clock
    }
  }
}

/** Whom to fetch lost records from: as many as at a start. */
const peersAsked = 3

const fullMessage =
  'the disk is full: nothing that peers send is stored until there is space; what is here can be read, and once there is room it goes on by itself'

const unmendedMessage =
  'the store is damaged and cannot be mended while it is open: start the node again, which repairs its files'

function openingMessage({ repaired, restored }: Storage['opened']): string | undefined {
  const { rows, ownRecords, copyDamaged } = restored
  const said = [
    ...(repaired
      ? ['files of the store were damaged and have been repaired; what could not be read is in "lost"']
      : []),
    ...(rows > 0 ? [`${rows} entries of orders and messages came back from their second copy`] : []),
    ...(ownRecords > 0 ? [`${ownRecords} records of yours came back from their second copy`] : []),
    ...(copyDamaged ? ['the second copy of orders and messages was damaged and has been made anew'] : [])
  ]
  return said.length === 0 ? undefined : said.join('; ')
}

function checkMessage({ damaged }: CheckReport): string {
  const lost = damaged.reduce((sum, { written, found }) => sum + Math.max(0, written - found), 0)
  const channels = [...new Set(damaged.map(({ channel }) => channel))]
  return `${lost} records of ${channels.join(', ')} were damaged and are fetched again from peers`
}

function clockMessage({ aheadMs = 0, peers }: ClockState): string {
  const minutes = Math.round(Math.abs(aheadMs) / 60_000)
  const how = `${minutes} minutes ${aheadMs > 0 ? 'ahead of' : 'behind'} those of ${peers} peers`
  return `this machine's clock is ${how}: set it, or others refuse what you publish and you what they do`
}
