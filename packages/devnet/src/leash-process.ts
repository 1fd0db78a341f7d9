/** The watcher behind a leash: reads `+pid` and `-pid`, and when its input ends, ends those that are still held. */
import { createInterface } from 'node:readline'

const held = new Set<number>()
// Whoever asks the whole group to end asks the process that this one watches, too.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

for await (const line of createInterface({ input: process.stdin })) {
  const pid = Number(line.slice(1))
  if (line.startsWith('+')) held.add(pid)
  else held.delete(pid)
}
for (const pid of held) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
