import type { Images } from '@souk/images'
import type { Storage } from '@souk/storage'
import type { FeedbackDesk } from './feedbacks.ts'
import { deadlinesEveryMs, houseworkEveryMs, renewBeforeMs } from './limits.ts'
import type { ListingDesk } from './listings.ts'
import type { OrderDesk } from './orders.ts'
import type { ProfileDesk } from './profiles.ts'

export interface HouseworkComponents {
  readonly storage: Pick<Storage, 'sweep'>
  readonly profiles: Pick<ProfileDesk, 'isOutdated' | 'refresh'>
  readonly listings: Pick<ListingDesk, 'renew'>
  readonly feedback: Pick<FeedbackDesk, 'spread'>
  readonly orders: Pick<OrderDesk, 'lookAtAll'>
  readonly images: () => Promise<Images> | undefined
  readonly onError: (error: unknown) => void
}

/** What a node does by itself: renews what is its own, drops what has expired, meets deadlines. */
export function startHousework(components: HouseworkComponents, init: { now: () => number }): AsyncDisposable {
  const { storage, profiles, listings, feedback, orders, images, onError } = components
  const running = new Set<Promise<void>>()
  const stopping = new AbortController()

  const run = (task: () => Promise<unknown>): void => {
    const work = task()
      .then(() => undefined, onError)
      .finally(() => running.delete(work))
    running.add(work)
  }
  const hourly = async (): Promise<void> => {
    const endsBeforeMs = init.now() + renewBeforeMs
    await storage.sweep()
    if (await profiles.isOutdated({ endsBeforeMs })) await profiles.refresh()
    await listings.renew({ endsBeforeMs, nowMs: init.now() })
    await (await images())?.collect()
  }
  const eachHour = (): void => {
    run(hourly)
    run(() => feedback.spread({ signal: stopping.signal }))
  }

  run(() => orders.lookAtAll())
  eachHour()
  const deadlines = setInterval(() => run(() => orders.lookAtAll()), deadlinesEveryMs)
  const chores = setInterval(eachHour, houseworkEveryMs)
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(deadlines)
      clearInterval(chores)
      stopping.abort()
      await Promise.allSettled(running)
    }
  }
}
