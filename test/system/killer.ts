import { writeFile } from 'node:fs/promises'
import type { Person, RelayProcess } from '@souk/devnet'

/** When a process ends: just before or just after its n-th durable write from now on, or at its n-th send. */
export interface Fuse {
  readonly at: 'before-write' | 'after-write' | 'send'
  readonly count: number
}

/** A process that can be killed and started again. */
type Victim = Pick<Person | RelayProcess, 'pid' | 'isRunning' | 'ended' | 'start' | 'kill'>

/** What is done to one process. */
export interface Blow {
  readonly fuse: Fuse
  /** Kills it once more, counted from its restart on: in what it does to recover. */
  readonly again: Fuse | null
}

/** How it went. */
export interface Struck {
  /** At moments that were chosen; the other deaths were at rest, when the moment had not come. */
  readonly chosen: number
  readonly atRest: number
}

/** The environment of a process whose moments of death are written to `path`. */
export function fusedEnv(path: string): NodeJS.ProcessEnv {
  const preload = new URL('./fuse.ts', import.meta.url)
  return { ...process.env, TEST_FUSE: path, NODE_OPTIONS: `--import=${preload.href}` }
}

/**
 * Kills a process at a chosen moment and starts it again, up to twice. What has not burnt down when `done` resolves is
 * put out, and the process is killed where it stands, so that it dies at least once.
 *
 * @param onBack - Called each time that it runs again: people go on then, also when it is about to die once more.
 */
export async function strike(
  { victim, path }: { victim: Victim; path: string },
  { fuse, again }: Blow,
  { done, onBack }: { done: Promise<unknown>; onBack: () => void }
): Promise<Struck> {
  await lay(path, fuse)
  process.kill(victim.pid, 'SIGUSR2')
  await Promise.race([victim.ended, done])
  let [chosen, atRest] = victim.isRunning ? [0, 1] : [1, 0]
  await victim.kill()
  if (again === null) {
    await victim.start()
    onBack()
    return { chosen, atRest }
  }
  await lay(path, again)
  // Where the second moment comes before it is ready, it does not start.
  const started = await victim.start().then(
    () => true,
    () => false
  )
  if (started) {
    onBack()
    await Promise.race([victim.ended, done])
  }
  chosen += victim.isRunning ? 0 : 1
  atRest += victim.isRunning ? 1 : 0
  await victim.kill()
  await victim.start()
  onBack()
  return { chosen, atRest }
}

async function lay(path: string, fuse: Fuse): Promise<void> {
  await writeFile(path, JSON.stringify(fuse))
}
