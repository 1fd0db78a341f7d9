import { cleanText, type ContentOf, didFromKey, type Did, keyFromDid, nymFromKey, type SoukRecord } from '@souk/records'
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
  /** X25519 public keys that open first messages. */
  readonly prekeys: () => ProfileContent['prekeys']
  readonly reach: () => Reach
}

/** Profiles, and the keeping true of one's own. */
export interface ProfileDesk extends Profiles {
  /** The signed content of somebody's profile, for reaching them. */
  contentOf(did: Did): Promise<ProfileContent | undefined>
  /** Publishes again what one's profile says, with today's addresses: nothing that a person said changes. */
  refresh(): Promise<void>
  /** True when the published profile names other addresses than this node has, or is about to end. */
  isOutdated(options: { endsBeforeMs: number }): Promise<boolean>
}

export function createProfiles(components: ProfilesComponents): ProfileDesk {
  const { records, publisher, author, reach } = components

  const headOf = async (key: Uint8Array): Promise<SoukRecord<'profile'> | undefined> => {
    const head = (await records.head({ author: key, kind: 'profile', key: '' })) as SoukRecord<'profile'> | undefined
    return head === undefined || head.content === null ? undefined : head
  }

  const publishContent = async (said: ProfileDraft): Promise<SoukRecord<'profile'>> => {
    const before = (await headOf(author))?.content
    const { peer, mailboxes } = reach()
    const others = (before?.peers ?? []).filter(({ id }) => id !== peer.id)
    const content: ProfileContent = {
      name: cleanText(said.name).replace(/\s+/g, ' '),
      next: components.nextKeyHash,
      peers: [{ id: peer.id, addresses: [...peer.addresses] }, ...others].slice(0, peersMax),
      prekeys: components.prekeys(),
      ...(said.about === undefined ? {} : { about: cleanText(said.about) }),
      ...(said.avatar === undefined ? {} : { avatar: parseCid(said.avatar) }),
      ...(said.region === undefined ? {} : { region: said.region }),
      ...(said.languages === undefined ? {} : { languages: [...said.languages] }),
      ...(mailboxes.length === 0 ? {} : { mailboxes: [...mailboxes] })
    }
    return publisher.publish({ kind: 'profile', key: '', lifeMs: profileLifeMs }, content)
  }

  return {
    get: async (did) => {
      const head = await headOf(keyFromDid(did))
      return head === undefined ? undefined : profileView(head)
    },
    publish: async (draft) => profileView(await publishContent(draft)),
    contentOf: async (did) => (await headOf(keyFromDid(did)))?.content ?? undefined,
    async refresh() {
      const head = await headOf(author)
      await publishContent(head === undefined ? { name: nymFromKey(author) } : profileView(head))
    },
    async isOutdated({ endsBeforeMs }) {
      const head = await headOf(author)
      if (head?.content == null || head.expiresAtMs < endsBeforeMs) return true
      const { peer, mailboxes } = reach()
      const published = head.content.peers.find(({ id }) => id === peer.id)
      return !sameList(published?.addresses, peer.addresses) || !sameList(head.content.mailboxes ?? [], mailboxes)
    }
  }
}

/** A person's installations in one profile; the bound of the record. */
const peersMax = 8

function profileView(record: SoukRecord<'profile'>): ProfileView {
  const content = record.content as ProfileContent
  return {
    did: didFromKey(record.author),
    nym: nymFromKey(record.author),
    name: content.name,
    about: content.about,
    avatar: content.avatar?.toString(),
    region: content.region,
    languages: content.languages,
    peers: content.peers.map(({ id, addresses }) => ({ id, addresses })),
    mailboxes: content.mailboxes ?? [],
    createdAtMs: record.createdAtMs,
    expiresAtMs: record.expiresAtMs
  }
}

function sameList(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((item, index) => item === b[index])
}
