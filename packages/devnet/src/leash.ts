import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Ends the processes that it holds when this process ends, however that happens: nobody else would know of them. */
export interface Leash extends AsyncDisposable {
  hold(pid: number): void
  release(pid: number): void
}

/** Starts the process that watches this one: the far end of a pipe, which closes also when this one is killed. */
export function createLeash(): Leash {
  const extension = import.meta.filename.slice(-3)
  const watcher = spawn(process.execPath, [fileURLToPath(new URL(`./leash-process${extension}`, import.meta.url))], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true
  })
  watcher.unref()
  // It is gone: then nothing is held, which is no worse than never having started it.
  watcher.stdin.on('error', () => undefined)
  return {
    hold: (pid) => void watcher.stdin.write(`+${pid}\n`),
    release: (pid) => void watcher.stdin.write(`-${pid}\n`),
    async [Symbol.asyncDispose]() {
      watcher.ref()
      const exited = once(watcher, 'exit')
      watcher.stdin.end()
      if (watcher.exitCode === null) await exited
    }
  }
}
