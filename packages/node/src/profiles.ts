import {
  cleanText,
  type ContentOf,
  didFromKey,
  type Did,
  keyFromDid,
  nymFromKey,
  sameBytes,
  type SoukRecord
} from '@souk/records'
import type { RecordStore } from '@souk/storage'
import { profileLifeMs } from './limits.ts'
import { parseCid } from './image.ts'
import type { ProfileDraft, Profiles, ProfileView } from './profile.ts'
import type { Publisher } from './publisher.ts'

type ProfileContent = ContentOf<'profile'>

/** How this installation is reached, for the profile. */
export interface Reach {
  readonly peer: { readonly id: string; readonly addresses: readonly string[] }
  readonly mailboxes: readonly string[]
}

export interface ProfilesComponents {
  readonly records: Pick<RecordStore, 'head'>
  readonly publisher: Publisher
  /** 32-byte public key of this identity. */
  readonly author: Uint8Array
  /** SHA-256 of the next public key. */
  readonly nextKeyHash: Uint8Array
  /** The X25519 public key that letters to this installation are sealed to. */
  readonly prekeys: () => ProfileContent['prekeys']
  readonly reach: () => Reach
  readonly now: () => number
}

/** Profiles, and the keeping true of one's own. */
export interface ProfileDesk extends Profiles {
  /** The signed content of somebody's profile, for reaching them. */
  contentOf(did: Did): Promise<ProfileContent | undefined>
  /**
   * Publishes again what one's profile says, with today's addresses: nothing that a person said changes. The first says a
   * name derived from the key.
   */
  refresh(): Promise<void>
  /** True when the published profile does not say how this node is reached and what it opens, or is about to end. */
  isOutdated(options: { endsBeforeMs: number }): Promise<boolean>
}

export function createProfiles(components: ProfilesComponents): ProfileDesk {
  const { records, publisher, author, reach } = components

  const headOf = async (key: Uint8Array): Promise<SoukRecord<'profile'> | undefined> => {
    const head = (await records.head({ author: key, kind: 'profile', key: '' })) as SoukRecord<'profile'> | undefined
    return head === undefined || head.content === null ? undefined : head
  }

  /** Of other installations of this identity, as long as they hold. */
  const otherPrekeys = (published: ProfileContent['prekeys']): ProfileContent['prekeys'] =>
    published.filter(
      ({ peer, expiresAt }) => peer !== undefined && peer !== reach().peer.id && expiresAt > components.now()
    )

  const contentFor = (said: ProfileDraft, before: ProfileContent | null | undefined): ProfileContent => {
    const { peer } = reach()
    // The others are kept true by themselves; one that has not been for a month is given up.
    const prekeys = otherPrekeys(before?.prekeys ?? [])
    const others = (before?.peers ?? []).filter(({ id }) => prekeys.some((prekey) => prekey.peer === id))
    const mailboxes = mailboxesOf({ own: reach().mailboxes, published: before?.mailboxes ?? [], others })
    return {
      name: cleanText(said.name).replace(/\s+/g, ' '),
      next: components.nextKeyHash,
      peers: [{ id: peer.id, addresses: [...peer.addresses] }, ...others].slice(0, peersMax),
      prekeys: [...components.prekeys(), ...prekeys].slice(0, peersMax),
      ...(said.about === undefined ? {} : { about: cleanText(said.about) }),
      ...(said.avatar === undefined ? {} : { avatar: parseCid(said.avatar) }),
      ...(said.region === undefined ? {} : { region: said.region }),
      ...(said.languages === undefined ? {} : { languages: [...said.languages] }),
      ...(mailboxes.length === 0 ? {} : { mailboxes: [...mailboxes] })
    }
  }
  const slot = { kind: 'profile', key: '', lifeMs: profileLifeMs } as const

  return {
    get: async (did) => {
      const head = await headOf(keyFromDid(did))
      return head === undefined ? undefined : profileView(head)
    },
    publish: async (draft) =>
      profileView(await publisher.publish({ ...slot, seqAfter: wordAfter }, (standing) => contentFor(draft, standing))),
    contentOf: async (did) => (await headOf(keyFromDid(did)))?.content ?? undefined,
    async refresh() {
      await publisher.publish(slot, (standing) =>
        contentFor(standing == null ? { name: nymFromKey(author) } : wordsOf(standing), standing)
      )
    },
    async isOutdated({ endsBeforeMs }) {
      const head = await headOf(author)
      if (head?.content == null || head.expiresAtMs < endsBeforeMs) return true
      const { peer, mailboxes: own } = reach()
      const published = head.content.peers.find(({ id }) => id === peer.id)
      const isNamed = components.prekeys().every((prekey) => isNamedIn(head.content?.prekeys ?? [], prekey))
      const isReached = sameList(published?.addresses, peer.addresses)
      const others = head.content.peers.filter(({ id }) => id !== peer.id)
      const mailboxes = mailboxesOf({ own, published: head.content.mailboxes ?? [], others })
      return !isNamed || !isReached || !sameList(head.content.mailboxes ?? [], mailboxes)
    }
  }
}

/**
 * What a person says comes out above whatever their installations write by themselves of what was said before, in what
 * order they ever hear of each other: one that was made anew from the phrase, and knows no profile yet, must not take
 * the name away. It takes so many revisions to come to the next.
 */
const revisionsOfWord = 2 ** 20

function wordAfter(standing = 0): number {
  return (Math.floor(standing / revisionsOfWord) + 1) * revisionsOfWord
}

/**
 * The relays that letters are left at. Several installations collect at the same ones, so none puts its own in place of
 * those that another has named, unless it knows none of them. A node that has just started, or whose relay is down, does
 * not take back what it has named: whoever writes meanwhile would have nowhere to leave a letter.
 */
function mailboxesOf(known: {
  own: readonly string[]
  published: readonly string[]
  others: readonly unknown[]
}): readonly string[] {
  const { own, published, others } = known
  if (others.length === 0 && own.length >= mailboxesEnough) return own.slice(0, mailboxesMax)
  const isShared = others.length > 0 && published.some((address) => own.includes(address))
  const all = isShared ? [...published, ...own] : [...own, ...published]
  return [...new Set(all)].slice(0, mailboxesMax)
}

/** Two make the loss of one harmless, three cost a third copy of each letter. */
const mailboxesEnough = 2
const mailboxesMax = 3

/** A person's installations in one profile; the bound of the record. */
const peersMax = 8

/** What of a profile a person has said. */
function wordsOf({ name, about, avatar, region, languages }: ProfileContent): ProfileDraft {
  return { name, about, avatar: avatar?.toString(), region, languages }
}

function profileView(record: SoukRecord<'profile'>): ProfileView {
  const content = record.content as ProfileContent
  return {
    did: didFromKey(record.author),
    nym: nymFromKey(record.author),
    ...wordsOf(content),
    peers: content.peers.map(({ id, addresses }) => ({ id, addresses })),
    mailboxes: content.mailboxes ?? [],
    createdAtMs: record.createdAtMs,
    expiresAtMs: record.expiresAtMs
  }
}

function isNamedIn(published: ProfileContent['prekeys'], { key, peer }: ProfileContent['prekeys'][number]): boolean {
  return published.some((prekey) => prekey.peer === peer && sameBytes(prekey.key, key))
}

function sameList(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((item, index) => item === b[index])
}
