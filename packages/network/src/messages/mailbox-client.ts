/** The using side of `/souk/mailbox/1`: leaving envelopes for others, and collecting one's own. */
import type { AbortOptions, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { Signer } from '@souk/records'
import { createAsk, type ExchangeHost } from '../exchange.ts'
import { ProtocolError, type ProtocolErrorCode } from '../protocol-error.ts'
import { createQueue } from '../store.ts'
import { digestsPerQuestionMax, mailboxExchangeLimits, mailboxPace, pagesMax } from './limits.ts'
import {
  decodeMailboxAnswer,
  encodeMailboxQuestion,
  mailboxProtocol,
  type MailboxQuestion,
  openingBytes
} from './mailbox-wire.ts'

/** A server, by its peer id, or by addresses that end in it. */
export interface MailboxServer {
  readonly peer: PeerId
  readonly addresses?: readonly Multiaddr[]
}

/** How a collection went. */
export interface Collected {
  /** Processed, and deleted at the server. */
  readonly processed: number
  /** Left at the server, to be tried again. */
  readonly failed: number
}

export interface MailboxClient {
  /**
   * Leaves an envelope for its recipient.
   *
   * @throws {@link ProtocolError} with the server's refusal: `unknown-recipient`, `work-missing`, `mailbox-full`,
   * `sender-full`, `address-full`, `store-full`; or `unreachable`, `timed-out`, `stream-broken`.
   */
  put(server: MailboxServer, envelope: Uint8Array, options?: AbortOptions): Promise<'kept' | 'known'>
  /**
   * Brings all that waits for this identity, in the order of arrival. An envelope is deleted at the server when
   * `process` has resolved, and left there when it rejects.
   *
   * @param options.skip - True for the digest of an envelope that is not to be fetched.
   */
  collect(
    server: MailboxServer,
    process: (envelope: Uint8Array) => Promise<unknown>,
    options?: AbortOptions & { readonly skip?: (digest: Uint8Array) => boolean }
  ): Promise<Collected>
  /** Makes a mailbox at the server where there is none, and tells it who may write there without work. */
  admit(server: MailboxServer, keys: readonly Uint8Array[], options?: AbortOptions): Promise<void>
}

export function createMailboxClient(components: { libp2p: ExchangeHost }, init: { signer: Signer }): MailboxClient {
  const { libp2p } = components
  const { signer } = init
  // A server remembers one challenge of a peer: a second one before the first is answered would void it.
  const inOrder = createQueue()

  const askAtPace = createAsk(libp2p, { protocol: mailboxProtocol, limits: mailboxExchangeLimits, pace: mailboxPace })

  async function ask(server: MailboxServer, question: MailboxQuestion, options: AbortOptions): Promise<Uint8Array> {
    const target = server.addresses?.length ? [...server.addresses] : server.peer
    const answerBytes = answerBytesOf(question)
    return askAtPace(target, encodeMailboxQuestion(question), { ...options, answerBytes })
  }

  const open = (server: MailboxServer, options: AbortOptions): Promise<void> =>
    inOrder(() => answerChallenge(server, options))

  async function answerChallenge(server: MailboxServer, options: AbortOptions): Promise<void> {
    const nonce = decodeMailboxAnswer.challenge(await ask(server, { op: 'challenge' }, options))
    // The peer id is the one that was asked for, never one that the server says: else it could pass the answer on.
    const opening = { mailbox: server.peer.toString(), peer: libp2p.peerId.toString(), nonce }
    const sig = signer.sign(openingBytes(opening))
    decodeMailboxAnswer.done(await ask(server, { op: 'open', identity: signer.publicKey, sig }, options))
  }

  async function list(server: MailboxServer, options: AbortOptions): Promise<Uint8Array[]> {
    const all: Uint8Array[] = []
    for (let page = 0; page < pagesMax; page++) {
      const { digests, more } = decodeMailboxAnswer.list(await ask(server, { op: 'list', after: all.at(-1) }, options))
      all.push(...digests)
      if (!more) break
    }
    return all
  }

  /** @returns The envelopes that the server delivers of those asked for; fewer than asked is no fault. */
  async function take(server: MailboxServer, digests: readonly Uint8Array[], options: AbortOptions): Promise<Taken[]> {
    const envelopes = decodeMailboxAnswer.take(await ask(server, { op: 'take', digests }, options))
    const asked = new Set(digests.map(bytesToHex))
    return envelopes.map((envelope) => {
      const digest = sha256(envelope)
      if (!asked.has(bytesToHex(digest))) throw new ProtocolError('not-asked-for', 'an envelope was not asked for')
      return { envelope, digest }
    })
  }

  return {
    async put(server, envelope, options = {}) {
      const outcome = decodeMailboxAnswer.put(await ask(server, { op: 'put', envelope }, options))
      if (outcome.status !== 'refused') return outcome.status
      const code = Array.from(refusals).find((each) => each === outcome.code) ?? 'refused'
      throw new ProtocolError(code, `the mailbox refused the envelope: ${code}`)
    },
    async collect(server, process, { skip = () => false, ...options } = {}) {
      await open(server, options)
      let waiting = (await list(server, options)).filter((digest) => !skip(digest))
      const counts = { processed: 0, failed: 0 }
      while (waiting.length > 0) {
        const taken = await take(server, waiting.slice(0, envelopesPerTake), options)
        const settled = await settle(taken, process)
        if (settled.length > 0) {
          decodeMailboxAnswer.done(await ask(server, { op: 'delete', digests: settled }, options))
        }
        counts.processed += settled.length
        counts.failed += taken.length - settled.length
        const done = new Set(taken.map(({ digest }) => bytesToHex(digest)))
        waiting =
          taken.length === 0
            ? waiting.slice(envelopesPerTake)
            : waiting.filter((digest) => !done.has(bytesToHex(digest)))
        options.signal?.throwIfAborted()
      }
      return counts
    },
    async admit(server, keys, options = {}) {
      await open(server, options)
      decodeMailboxAnswer.done(await ask(server, { op: 'admit', keys }, options))
    }
  }
}

/** What an answer has at most, about: envelopes or digests fill it. */
function answerBytesOf({ op }: MailboxQuestion): number {
  if (op === 'take') return mailboxExchangeLimits.answerBytesMax
  return op === 'list' ? digestBytes * digestsPerQuestionMax : 0
}

const digestBytes = 32

interface Taken {
  readonly envelope: Uint8Array
  readonly digest: Uint8Array
}

/** Asked for at once: most are small, and then come together. */
const envelopesPerTake = 64

const refusals = new Set<ProtocolErrorCode>([
  'unknown-recipient',
  'work-missing',
  'mailbox-full',
  'sender-full',
  'address-full',
  'store-full'
])

/** One after the other, in order of arrival. @returns The digests of those that were processed. */
async function settle(
  taken: readonly Taken[],
  process: (envelope: Uint8Array) => Promise<unknown>
): Promise<Uint8Array[]> {
  const processed: Uint8Array[] = []
  for (const { envelope, digest } of taken) {
    await process(envelope).then(
      () => processed.push(digest),
      () => {}
    )
  }
  return processed
}
