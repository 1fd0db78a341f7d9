import * as z from 'zod'
import { addressCharsMax, peersMax } from '../limits.ts'
import { line, timeMs } from './fields.ts'

/**
 * Where an identity's installations are now. One a person; the key is empty. It lives for days where a profile lives
 * for weeks, and travels by the DHT alone: it is for who holds an old profile.
 */
export const presenceContent = z.looseObject({
  /** Seen last first. */
  peers: z
    .array(
      z.looseObject({
        id: line(addressCharsMax),
        addresses: z.array(line(addressCharsMax)).max(peersMax),
        /** When this installation said so, by its own clock. */
        saidAt: timeMs
      })
    )
    .min(1)
    .max(peersMax),
  /** Relays that keep messages for this identity now. */
  mailboxes: z.array(line(addressCharsMax)).max(peersMax).optional()
})
