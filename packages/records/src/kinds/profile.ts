import * as z from 'zod'
import { addressCharsMax, nameCharsMax, peersMax, prekeysMax, textCharsMax } from '../limits.ts'
import { bytesOf, country, language, line, rawLink, text, timeMs } from './fields.ts'

/**
 * Who an identity is, and which peers speak for it. One a person; the key is empty.
 * `next` commits to the public key that may replace this one.
 */
export const profileContent = z.looseObject({
  name: line(nameCharsMax),
  about: text(textCharsMax / 4).optional(),
  avatar: rawLink.optional(),
  region: country.optional(),
  languages: z.array(language).max(8).optional(),
  /** SHA-256 of the next public key. */
  next: bytesOf(32),
  /** The installations that speak for this identity, most reliable first. */
  peers: z
    .array(z.looseObject({ id: line(addressCharsMax), addresses: z.array(line(addressCharsMax)).max(peersMax) }))
    .max(peersMax),
  /** Relays that keep messages for this identity while its peers sleep. */
  mailboxes: z.array(line(addressCharsMax)).max(peersMax).optional(),
  /** X25519 keys that letters are sealed to, newest first. `peer` names the installation that alone holds the secret. */
  prekeys: z
    .array(z.looseObject({ key: bytesOf(32), expiresAt: timeMs, peer: line(addressCharsMax).optional() }))
    .min(1)
    .max(prekeysMax)
})
