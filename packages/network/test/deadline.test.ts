import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createDeadline } from '../src/deadline.ts'

const late = new Error('late')

describe('a deadline', () => {
  it('fires with its reason when its time is over, and not before', async () => {
    const startMs = performance.now()
    using deadline = createDeadline(30, () => late)
    await once(deadline.signal, 'abort')
    expect(deadline.signal.reason).toBe(late)
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(29)
  })

  it('begins anew when it is extended', async () => {
    using early = createDeadline(20, () => late)
    using extended = createDeadline(20, () => late)
    extended.extend(60_000)
    await once(early.signal, 'abort')
    expect(extended.signal.aborted).toBe(false)
  })

  it('never fires once it is disposed of', async () => {
    const disposed = createDeadline(10, () => late)
    disposed[Symbol.dispose]()
    using later = createDeadline(30, () => late)
    await once(later.signal, 'abort')
    expect(disposed.signal.aborted).toBe(false)
  })

  it('fires at once with the reason of whoever ends it', () => {
    using deadline = createDeadline(60_000, () => late)
    const stopped = new Error('stopped')
    deadline.abort(stopped)
    expect(deadline.signal.reason).toBe(stopped)
  })
})
