import type { Did } from '@souk/records'

/** A person, as others see them. */
export interface ProfileView {
  readonly did: Did
  /** Two words derived from the key: an impersonator's differ. */
  readonly nym: string
  readonly name: string
  readonly about?: string | undefined
  readonly avatar?: string | undefined
  readonly region?: string | undefined
  readonly languages?: readonly string[] | undefined
  /** Installations that speak for this identity. */
  readonly peers: readonly { readonly id: string; readonly addresses: readonly string[] }[]
  readonly mailboxes: readonly string[]
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

/** What a person says about themselves; the node adds keys and addresses. */
export interface ProfileDraft {
  readonly name: string
  readonly about?: string | undefined
  /** CID of an image added before. */
  readonly avatar?: string | undefined
  readonly region?: string | undefined
  readonly languages?: readonly string[] | undefined
}

/** Profiles: one's own, and those of others. */
export interface Profiles {
  /** @returns The newest profile that this node knows; `undefined` when it knows none. */
  get(did: Did): Promise<ProfileView | undefined>
  /** Publishes one's own profile; replaces the last. */
  publish(draft: ProfileDraft): Promise<ProfileView>
}
