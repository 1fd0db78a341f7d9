import { runStoreTests } from '@souk/storage/compliance'
import { createStorage } from '@souk/storage'
import { describe, expect, test } from 'vitest'
import { createDisk, type Disk } from './disk.ts'
import { createRandom } from './random.ts'

let nowMs = 0
const newDisk = (seed = 1): Disk =>
  createDisk({ now: () => nowMs, random: createRandom(seed), shared: new Map<string, string>() })

describe('what a disk loses', () => {
  const key = (index: number): string => `k${String(index).padStart(3, '0')}`
  const keysOf = async (disk: Disk): Promise<string[]> => disk.open().keys({ keyEncoding: 'utf8' }).all()

  test('a power cut takes unsynced batches from some point on, whole, and none that was synced', async () => {
    const survived = new Set<number>()
    for (let seed = 0; seed < 40; seed++) {
      const disk = newDisk(seed)
      const level = disk.open()
      for (let index = 0; index < 10; index++) {
        const put = (part: string) =>
          ({ type: 'put', key: key(index) + part, value: 'v', keyEncoding: 'utf8' }) as const
        await level.batch([put('a'), put('b')], { sync: index === 3, valueEncoding: 'utf8' } as object)
      }
      disk.crash({ power: true })
      const left = await keysOf(disk)
      const whole = left.length / 2
      expect(left).toEqual(Array.from({ length: whole }, (_, index) => [`${key(index)}a`, `${key(index)}b`]).flat())
      expect(whole).toBeGreaterThanOrEqual(4)
      survived.add(whole)
    }
    expect(survived.size).toBeGreaterThan(3)
  })

  test('takes back what a lost batch had replaced or taken out', async () => {
    const disk = newDisk(4)
    const level = disk.open()
    const text = { keyEncoding: 'utf8', valueEncoding: 'utf8' } as const
    await level.put('a', '1', { ...text, sync: true } as object)
    await level.batch([
      { type: 'put', key: 'a', value: '2', ...text },
      { type: 'put', key: 'b', value: '2', ...text }
    ])
    await level.del('a', text)
    disk.crash({ power: true })
    const again = disk.open()
    // The seed makes it lose both batches.
    expect([await again.get('a', text), await again.get('b', text)]).toEqual(['1', undefined])
  })

  test('a kill takes nothing, and half a minute makes everything last', async () => {
    const disk = newDisk()
    const text = { keyEncoding: 'utf8', valueEncoding: 'utf8' } as const
    await disk.open().put('a', '1', text)
    disk.crash({ power: false })
    expect(await keysOf(disk)).toEqual(['a'])
    await disk.open().put('b', '1', text)
    nowMs += 31_000
    await disk.open().put('c', '1', text)
    disk.crash({ power: true })
    expect((await keysOf(disk)).slice(0, 2)).toEqual(['a', 'b'])
  })

  test('never answers a node that is no more', async () => {
    const disk = newDisk()
    const level = disk.open()
    disk.crash({ power: false })
    const answered = level.get('a').then(() => 'answered')
    const waited = new Promise((resolve) => void setImmediate(() => resolve('waited')))
    expect(await Promise.race([answered, waited])).toBe('waited')
  })
})

// What a store needs of Level, a simulated disk has to have: the suite of `@souk/storage` says so.
runStoreTests({ describe, test }, 'a simulated disk', () => {
  const disk = newDisk()
  return Promise.resolve({
    open: (init) => createStorage({ ...init, level: disk.open() as never, search: 'off' }),
    dispose: () => Promise.resolve()
  })
})
