/**
 * The decoder's process: takes one job after the other from its parent and ends with it. It holds no key, no socket
 * and an empty environment, so that a picture which breaks libvips breaks nothing else.
 */
import { ImagesError } from './errors.ts'
import type { DecoderJob, DecoderReply } from './decoder.ts'
import { describeImage, prepareImage, reencodeImage, restrictLoaders } from './pipeline.ts'

restrictLoaders()
// Ctrl-C reaches the whole process group; the parent decides when its decoder ends.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit())
process.on('message', (job: DecoderJob) => {
  void reply(job).then((answer) => process.send?.(answer))
})

async function reply(job: DecoderJob): Promise<DecoderReply> {
  try {
    return { ok: true, result: await work(job) }
  } catch (error) {
    const code = error instanceof ImagesError ? error.code : 'damaged'
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) }
  }
}

function work(job: DecoderJob): Promise<unknown> {
  switch (job.kind) {
    case 'prepare':
      return prepareImage(job.bytes)
    case 'reencode':
      return reencodeImage(job.bytes)
    case 'describe':
      return describeImage(job.bytes)
  }
}
