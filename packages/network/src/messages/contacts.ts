/** Whom this identity is in conversation with: the keys that both sides of each derive, and let each other in with. */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { type Did, keyFromDid, type Signer } from '@souk/records'
import { type KeyValueStore, prefixRange } from '../store.ts'
import { conversationSigner } from './envelope.ts'

export interface Contacts {
  /** The signer of envelopes to them; undefined before they have written once. */
  signerFor(did: Did): Promise<Signer | undefined>
  /** Identity (32 bytes) of the one who shares this envelope key with us; undefined for a stranger's. */
  ownerOf(by: Uint8Array): Promise<Uint8Array | undefined>
  /**
   * Lets them in from now on. Called when a message of theirs has been processed.
   *
   * @returns True when they were not let in before: mailboxes have to hear of it.
   */
  learn(did: Did, replyKey: Uint8Array): Promise<boolean>
  /** Shuts them out: their next message needs work again. */
  forget(did: Did): Promise<void>
  /** All keys that are let in: what a mailbox has to know. */
  keys(): Promise<Uint8Array[]>
}

/** @param components.store - A sublevel of its own: `c/<did>` their reply key, `k/<key>` whom a key is shared with. */
export function createContacts(
  components: { store: KeyValueStore },
  init: { publicKey: Uint8Array; messageKey: Uint8Array }
): Contacts {
  const { store } = components

  const signerOf = (did: Did, replyKey: Uint8Array): Signer =>
    conversationSigner({ secret: init.messageKey, replyKey, parties: [init.publicKey, keyFromDid(did)] })

  async function signerFor(did: Did): Promise<Signer | undefined> {
    const replyKey = await store.get(`c/${did}`)
    return replyKey && signerOf(did, replyKey)
  }

  async function forget(did: Did): Promise<void> {
    const signer = await signerFor(did)
    if (signer === undefined) return
    const keys = [`c/${did}`, `k/${bytesToHex(signer.publicKey)}`]
    await store.batch(keys.map((key) => ({ type: 'del', key })))
  }

  return {
    signerFor,
    forget,
    ownerOf: (by) => store.get(`k/${bytesToHex(by)}`),
    async learn(did, replyKey) {
      const key = bytesToHex(signerOf(did, replyKey).publicKey)
      if ((await store.get(`k/${key}`)) !== undefined) return false
      await forget(did)
      await store.batch([
        { type: 'put', key: `c/${did}`, value: replyKey },
        { type: 'put', key: `k/${key}`, value: keyFromDid(did) }
      ])
      return true
    },
    async keys() {
      const all: Uint8Array[] = []
      for await (const key of store.keys(prefixRange('k/'))) all.push(hexToBytes(key.slice(2)))
      return all
    }
  }
}
