/** Takes one copy of a letter to one installation: directly, where it is now, or to the relays that keep its letters. */
import type { AbortOptions } from '@libp2p/interface'
import { type Did, sameBytes } from '@souk/records'
import { ProtocolError } from '../protocol-error.ts'
import type { Copies, Copy, LetterName } from './copies.ts'
import { type Device, dialTargetOf, type DialTarget, type Reachable, serversOf } from './devices.ts'
import { directTimeoutMs } from './limits.ts'
import type { MailboxClient, MailboxServer } from './mailbox-client.ts'
import type { Messages, OutgoingMessage, PreparedMessage } from './messages.ts'

/** How a letter went. */
export type Delivery = 'delivered' | 'at-relay'

export interface Courier {
  /** Seals a copy for an installation and writes it down, or takes the one that is under way. */
  seal(letter: CarriedLetter, device: Device): Promise<Copy>
  /**
   * Sends a copy; one that is delivered is forgotten.
   *
   * @throws {@link ProtocolError} of the last attempt; {@link AbortSignal.reason} when `options.signal` ends it.
   */
  carry(copy: Copy, to: Destination, options: AbortOptions): Promise<Delivery>
  /**
   * Sends what nobody waits for: one attempt, of which nothing is kept.
   *
   * @param options.introduce - Asked before work is done for it.
   */
  sendOnce(message: OutgoingMessage, to: Destination, options: SendOptions): Promise<void>
}

interface SendOptions extends AbortOptions {
  readonly introduce?: () => boolean
}

export interface CarriedLetter extends LetterName {
  readonly payload: Uint8Array
}

/** One installation of the recipient, and the relays of the identity. */
export interface Destination {
  readonly device: Device
  readonly servers: readonly MailboxServer[]
}

/** What is known of somebody beside the profile. */
export type Whereabouts = Pick<Reachable, 'peers' | 'mailboxes'>

export interface CourierInit {
  readonly now: () => number
  /** Where somebody's installations and relays are now, asked when the profile's addresses fail. */
  readonly locate?: (did: Did, options: AbortOptions) => Promise<Whereabouts | undefined>
}

export function createCourier(
  components: { messages: Messages; client: Pick<MailboxClient, 'put'>; copies: Copies },
  init: CourierInit
): Courier {
  const { messages, client, copies } = components

  /** One prekey, one envelope: sealed anew only when the profile names another key. */
  async function seal(letter: CarriedLetter, { id, prekey }: Device): Promise<Copy> {
    const standing = await copies.get(letter, id)
    if (standing !== undefined && sameBytes(standing.prekey, prekey)) return standing
    const { to, messageId, payload } = letter
    const { envelope, proof } = await messages.prepare({ to, messageId, payload, prekey })
    const sealedAtMs = standing?.sealedAtMs ?? init.now()
    const isLeft = standing?.isLeft ?? false
    const copy: Copy = { to, messageId, payload, device: id, prekey, envelope, proofs: [proof], sealedAtMs, isLeft }
    // On disk before it leaves: the acknowledgement may come after a restart.
    await copies.save(copy)
    return copy
  }

  async function sendDirectly(
    prepared: PreparedMessage,
    { to, device }: { to: Did; device: Device },
    options: SendOptions
  ): Promise<void> {
    try {
      await deliverWithin(prepared, device.targets, options)
    } catch (error) {
      if (!isAway(error) || init.locate === undefined) throw error
      const found = (await init.locate(to, options))?.peers ?? []
      const targets = found.filter(({ id }) => id === device.id).flatMap(dialTargetOf)
      if (targets.length === 0) throw error
      await deliverWithin(prepared, targets, options)
    }
  }

  async function deliverWithin(
    prepared: PreparedMessage,
    targets: readonly DialTarget[],
    options: SendOptions
  ): Promise<void> {
    const timeout = AbortSignal.timeout(directTimeoutMs)
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
    try {
      await messages.deliver(prepared, targets, { ...options, signal })
    } catch (cause) {
      options.signal?.throwIfAborted()
      if (timeout.aborted) throw new ProtocolError('timed-out', `no answer within ${directTimeoutMs} ms`, { cause })
      throw cause
    }
  }

  async function leaveAtRelays(
    prepared: PreparedMessage,
    servers: readonly MailboxServer[],
    options: SendOptions
  ): Promise<boolean> {
    const results = await Promise.allSettled(servers.map((server) => leaveAt(server, prepared, options)))
    return results.some(({ status }) => status === 'fulfilled')
  }

  /** A relay that has not heard yet that the recipient knows us takes us for strangers. */
  async function leaveAt(server: MailboxServer, prepared: PreparedMessage, options: SendOptions): Promise<void> {
    const { introduce = () => true, ...abort } = options
    try {
      await client.put(server, prepared.envelope, abort)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code !== 'work-missing' || !introduce()) throw error
      await client.put(server, messages.introduce(prepared).envelope, abort)
    }
  }

  return {
    seal,
    async carry(copy, { device, servers }, options) {
      const prepared = { envelope: copy.envelope, proof: copy.proofs.at(-1) as Uint8Array }
      try {
        await sendDirectly(prepared, { to: copy.to, device }, options)
        await copies.remove(copy)
        return 'delivered'
      } catch (error) {
        options.signal?.throwIfAborted()
        if (!(error instanceof ProtocolError)) throw error
        // What is sealed to a key that is gone is of no use at a relay either. The newer profile names another key.
        if (error.code === 'unknown-prekey') throw error
        if (await leaveAtRelays(prepared, servers, options)) return 'at-relay'
        const moved = serversOf((await init.locate?.(copy.to, options)) ?? {})
        if (await leaveAtRelays(prepared, moved, options)) return 'at-relay'
        throw error
      }
    },
    async sendOnce(message, { device, servers }, options) {
      const prepared = await messages.prepare(message)
      try {
        await sendDirectly(prepared, { to: message.to, device }, options)
      } catch {
        options.signal?.throwIfAborted()
        await leaveAtRelays(prepared, servers, options)
      }
    }
  }
}

function isAway(error: unknown): boolean {
  return error instanceof ProtocolError && (error.code === 'unreachable' || error.code === 'timed-out')
}
