import { type Network, serversOf } from '@souk/network'
import { type Did, keyFromDid, sameBytes } from '@souk/records'
import type { RecordStore } from '@souk/storage'
import type { ProfileDesk } from './profiles.ts'

export interface OwnProfileComponents {
  readonly records: Pick<RecordStore, 'on'>
  readonly profiles: Pick<ProfileDesk, 'contentOf' | 'isOutdated' | 'refresh'>
  readonly network: Pick<Network, 'keeper' | 'on'>
  readonly onError: (error: unknown) => void
}

/**
 * Keeps this identity's profile true when another installation of it has written it, or when it comes back from the
 * network to an installation that was made anew from the phrase; and keeps connected to the relays that it names,
 * whichever installation has found them.
 */
export async function followOwnProfile(
  components: OwnProfileComponents,
  init: { did: Did; now: () => number; signal: AbortSignal }
): Promise<void> {
  const { records, profiles, network, onError } = components
  const author = keyFromDid(init.did)
  let wanted: ReturnType<typeof serversOf> = []

  const keepRelays = async (): Promise<void> => {
    const named = serversOf((await profiles.contentOf(init.did)) ?? {})
    for (const { peer } of wanted) if (!named.some((one) => one.peer.equals(peer))) network.keeper.unwant(peer, 'relay')
    for (const { peer, addresses } of named) network.keeper.want(peer, 'relay', addresses)
    wanted = named
  }

  const look = async (): Promise<void> => {
    if (await profiles.isOutdated({ endsBeforeMs: init.now() })) await profiles.refresh()
    await keepRelays()
  }

  const lookAgain = (): void => {
    if (!init.signal.aborted) look().catch(onError)
  }
  const subscriptions = [
    records.on('stored', (stored) => {
      if (stored.some(({ record }) => record.kind === 'profile' && sameBytes(record.author, author))) lookAgain()
    }),
    network.on('caught-up', lookAgain)
  ]
  init.signal.addEventListener('abort', () => subscriptions.forEach((unsubscribe) => unsubscribe()), { once: true })
  await look()
}
