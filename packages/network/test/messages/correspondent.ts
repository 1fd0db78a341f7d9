import { x25519 } from '@noble/curves/ed25519.js'
import { randomBytes } from '@noble/hashes/utils.js'
import { type Did, didFromKey, type Signer, signerFromKey } from '@souk/records'
import type { Guard } from '../../src/exchange.ts'
import { type Contacts, createContacts } from '../../src/messages/contacts.ts'
import { createMessages, type MessageKeys, type Messages, type MessagesInit } from '../../src/messages/messages.ts'
import { createPeer, memoryStore, type Peer, type PeerInit } from '../peers.ts'

/** An identity with one prekey. */
export interface Persona {
  readonly did: Did
  readonly signer: Signer
  readonly messageKey: Uint8Array
  readonly prekeySecret: Uint8Array
  /** As the profile tells it. */
  readonly prekey: Uint8Array
}

export function persona(): Persona {
  const signer = signerFromKey(randomBytes(32))
  const prekeySecret = randomBytes(32)
  return {
    did: didFromKey(signer.publicKey),
    signer,
    messageKey: randomBytes(32),
    prekeySecret,
    prekey: x25519.getPublicKey(prekeySecret)
  }
}

/** Somebody who writes and is written to over a node of their own. */
export interface Correspondent extends Persona {
  readonly peer: Peer
  readonly messages: Messages
  readonly contacts: Contacts
  readonly keys: MessageKeys
}

export async function correspondent(
  init: MessagesInit & {
    peer?: PeerInit
    guard?: Guard
    persona?: Persona
    contacts?: Contacts
    keysAsked?: () => void
  }
): Promise<Correspondent> {
  const who = init.persona ?? persona()
  const peer = await createPeer(init.peer)
  const store = memoryStore()
  const { signer, messageKey, prekeySecret } = who
  const contacts = init.contacts ?? createContacts({ store }, { publicKey: signer.publicKey, messageKey })
  const prekeySecrets = async (): Promise<Uint8Array[]> => {
    init.keysAsked?.()
    return [prekeySecret]
  }
  const keys: MessageKeys = { signer, messageKey, prekeySecrets }
  const components = { libp2p: peer, keys, contacts, ...(init.guard && { guard: init.guard }) }
  const messages = await createMessages(components, { workBits: 4, ...init })
  return { ...who, peer, messages, contacts, keys }
}
