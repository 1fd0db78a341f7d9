import { kindLimits } from '@souk/records'
import type { ExchangeLimits } from '../exchange.ts'
import type { Budget } from '../guard/bucket.ts'

/** Every bound of private messages, with its reason. */

const second = 1000
const minute = 60 * second
const day = 24 * 60 * minute

/** What one message may say. Terms, events and texts are far below; pictures and files go by reference. */
export const payloadBytesMax = 64_000

/** Padded sizes go from here to {@link paddedBytesMax} in powers of two: what leaks is one of nine sizes. */
export const paddedBytesMin = 256
export const paddedBytesMax: number = 64 * 1024

/** Version, hint, ephemeral key and MAC before the ciphertext, and the 16-byte tag of Poly1305 in it. */
export const boxHeadBytes: number = 1 + 8 + 32 + 32
export const tagBytes = 16
export const boxBytesMax: number = boxHeadBytes + paddedBytesMax + tagBytes

/** A box and the envelope's keys, signature, work and names: about 250 bytes. */
export const envelopeBytesMax: number = boxBytesMax + 512

/** Characters of a message id: room for an identity and a hash in one. */
export const messageIdCharsMax = 128

/** Letters that one letter acknowledges: what a fortnight away brings of one sender takes a few. */
export const acksMax = 64

/** Head, prekey, key and letter of one box, with the names of the fields. */
export const exhibitBytesMax: number = boxHeadBytes + paddedBytesMax + 256

/** Work for a first contact: about 0.1 s for the one who writes, one hash for the one who is written to. */
export const firstContactBits = 16

/** More is not asked, and not believed to be meant. */
export const workBitsMax = 32

/** `/souk/message/1`: the time includes that the receiver writes to disk; a refusal may bring a profile. */
export const messageLimits: ExchangeLimits = {
  questionBytesMax: envelopeBytesMax,
  answerBytesMax: kindLimits.profile.bytesMax + 256,
  timeoutMs: 20 * second,
  streamsPerConnectionMax: 8,
  concurrencyMax: 32
}

/**
 * Units that one installation is asked for, a little below what its guard grants (`/souk/message/1`: 20 a second, burst
 * 100): a letter of 1 kB is two, the largest 66.
 */
export const messagePace: Budget = { perSecond: 18, burst: 75 }

/**
 * The same of one relay (20 a second, burst 200): a mailbox of 1,000 letters is collected with 250 units, and who comes back
 * with letters for a hundred people who are away leaves them there at once.
 */
export const mailboxPace: Budget = { perSecond: 18, burst: 180 }

/** `/souk/mailbox/1`. */
export const mailboxExchangeLimits: ExchangeLimits = {
  questionBytesMax: envelopeBytesMax + 256,
  answerBytesMax: 256 * 1024,
  timeoutMs: 20 * second,
  streamsPerConnectionMax: 8,
  concurrencyMax: 64
}

/** Digests named in one question or answer of a mailbox. */
export const digestsPerQuestionMax = 256

/** Conversation keys that a recipient lets in without work. */
export const conversationsMax = 1000

/** How long a mailbox gives a peer to answer its challenge, and how long the answer holds. */
export const challengeMs: number = 1 * minute
export const sessionMs: number = 30 * minute

/** Peers with a challenge or a session; the oldest give way. */
export const sessionsMax = 10_000

/** The period of a mailbox's counts per address. */
export const addressPeriodMs = day

/** Addresses and blocks of them counted at once; 100 bytes each. The one that was heard of last stays. */
export const addressesMax = 50_000

/** A block of addresses may do as much as so many of its addresses: with IPv6 everybody has billions. */
export const addressesPerBlock = 8

/** Recipients whose strangers a mailbox server has at hand: a hundred rows of 200 bytes each. */
export const strangersReadMax = 256

/** A letter of a conversation with no more than this waiting finds the last quarter of a mailbox kept for it. */
export const fewLetters = 20

/** Of a mailbox, and of all of them: what is kept for those who have little there. */
export const reserveShare = 0.25

/** When all mailboxes are taken, an empty one that nobody has opened for so long gives way. */
export const idleMailboxMs: number = 7 * day

/** How often a mailbox server drops what has expired. */
export const sweepEveryMs: number = 10 * minute

/** Pages that a client reads of one mailbox, so that a server cannot keep it for ever. */
export const pagesMax = 64

/** What one mailbox server keeps. An operator may set each otherwise. */
export const mailboxLimits = {
  /** PROTOCOL: fifteen days, as long as prekeys last. */
  lifeMs: 15 * day,
  /** Identities that have a mailbox; one that has not been opened for {@link mailboxLimits.recipientLifeMs} is given up. */
  recipientsMax: 10_000,
  recipientLifeMs: 60 * day,
  /** Of all conversations in one mailbox: a busy seller's fortnight. */
  envelopesPerRecipientMax: 1000,
  bytesPerRecipientMax: 8 * 1024 * 1024,
  /** Of one conversation, so that one of those who are let in cannot fill the mailbox for the others. */
  envelopesPerConversationMax: 200,
  bytesPerConversationMax: 2 * 1024 * 1024,
  /** First contacts in one mailbox, counted apart; those with the least work give way. At most 6.3 MiB. */
  requestsPerRecipientMax: 100,
  /** Envelopes that one network address may leave in a day, over all mailboxes. */
  envelopesPerAddressMax: 2000,
  /** Bytes of them: eight addresses would fill a server in a day otherwise. */
  bytesPerAddressMax: 32 * 1024 * 1024,
  /** Mailboxes that one network address may make in a day: identities cost nothing. */
  recipientsPerAddressMax: 20,
  /** Of all mailboxes together. */
  bytesMax: 1024 * 1024 * 1024,
  firstContactBits
}

/** The bounds of one mailbox server; see {@link mailboxLimits} for the defaults. */
export type MailboxLimits = Readonly<typeof mailboxLimits>

/** How often a new prekey takes over: what a thief of this installation's keys can read goes back so far, and 15 days. */
export const prekeyEveryMs: number = 7 * day

/** How long a prekey is held after its last day in the profile: what relays keep is at most so old. */
export const prekeyHeldMs: number = mailboxLimits.lifeMs

/** Prekeys held at once: one in use and one a week for {@link prekeyHeldMs}, with room for a clock that jumped. */
export const prekeysHeldMax = 8

/** Proofs that one copy answers to: it is sealed anew when the prekey changes, once a week in 15 days. */
export const proofsPerCopyMax = 8

/** One try to reach an installation directly. A relay is next, and must have its share of the whole attempt. */
export const directTimeoutMs: number = 10 * second

/**
 * Strangers whose letters are acknowledged with work, a minute: who writes first does not know the key of the
 * conversation yet. Their letter has cost them as much; more of them wait until they offer theirs again.
 */
export const introductionsPerMinuteMax = 10

/** One attempt of its own to bring something: directly, where the DHT says, and to the relays. */
export const attemptMs: number = 40 * second

/** Relays that are asked for letters: one's own, and those that another installation has put into the profile. */
export const relaysVisitedMax = 8

/** How often a relay is asked for letters while it is connected; it is asked at once when it connects. */
export const collectEveryMs: number = 5 * minute

/** A relay that could not be asked is asked again after so long, then after twice as long each time, up to that. */
export const collectAgainMs = 2000

/** How often prekeys are looked at, and copies for a second device are offered again. */
export const tendEveryMs: number = 15 * minute

/** Envelopes that could not be opened and are not fetched again from a relay; forgotten with a restart. */
export const unopenableMax = 2000

/** A copy for a device that has not acknowledged it is given up after this: relays have dropped it by then. */
export const copyLifeMs: number = mailboxLimits.lifeMs

/** Relays that keep letters for one identity: two make the loss of one harmless, three cost a third copy of each. */
export const mailboxesMax = 3
