/**
 * The prekeys of one installation: X25519 keys that letters to it are sealed to. A new one takes over every week, and
 * the old ones are forgotten a fortnight after that: what was sealed to them is then closed for good, to a thief too.
 * They are random, never derived from the phrase, since what the phrase derives cannot be forgotten.
 *
 * At rest each secret is sealed with a key that only the identity's phrase makes.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, hexToBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { decodeCanonical, encodeCanonical } from '@souk/records'
import { createQueue, type KeyValueOperation, type KeyValueStore, prefixRange } from '../store.ts'
import { prekeyEveryMs, prekeyHeldMs, prekeysHeldMax } from './limits.ts'

export interface Prekeys {
  /** X25519 public key for the profile, 32 bytes: the newest. */
  current(): Uint8Array
  /** X25519 secrets still held, newest first. */
  secrets(): readonly Uint8Array[]
  /**
   * Makes a new prekey where the newest is a week old, and forgets those whose time is over.
   *
   * @returns True when there is a new one, and the profile must say so.
   */
  rotate(): Promise<boolean>
}

/**
 * @param components.store - A sublevel; keys `x/<public key>`.
 * @param init.wrapKey - 32 secret bytes that the phrase makes, from which the key at rest is derived.
 */
export async function createPrekeys(
  components: { store: KeyValueStore },
  init: { now: () => number; wrapKey: Uint8Array }
): Promise<Prekeys> {
  const { store } = components
  const { now } = init
  const key = hkdf(sha256, init.wrapKey, undefined, utf8ToBytes('souk/prekeys/1\n'), 32)
  const inOrder = createQueue()
  let held = await load(store, key)

  const save = (rows: readonly Prekey[], gone: readonly Prekey[]): Promise<void> =>
    store.batch([
      ...rows.map((row): KeyValueOperation => ({ type: 'put', key: rowKey(row), value: encodeRow(row, key) })),
      ...gone.map((row): KeyValueOperation => ({ type: 'del', key: rowKey(row) }))
    ])

  const rotate = async (): Promise<boolean> => {
    const nowMs = now()
    const [newest] = held
    const isDue = newest === undefined || Math.abs(nowMs - newest.createdAtMs) >= prekeyEveryMs
    const next = isDue ? [makePrekey(nowMs), ...retire(held, nowMs)] : held
    const kept = next.filter((row, index) => isHeld(row, nowMs) && index < prekeysHeldMax)
    if (!isDue && kept.length === held.length) return false
    // The new one is on disk before anybody hears of it.
    await save(
      isDue ? kept : [],
      next.filter((row) => !kept.includes(row))
    )
    held = kept
    return isDue
  }

  await inOrder(rotate)
  return {
    current: () => (held[0] as Prekey).publicKey,
    secrets: () => held.map(({ secret }) => secret),
    rotate: () => inOrder(rotate)
  }
}

interface Prekey {
  readonly publicKey: Uint8Array
  readonly secret: Uint8Array
  readonly createdAtMs: number
  /** When another took its place in the profile. */
  readonly retiredAtMs?: number
}

function makePrekey(createdAtMs: number): Prekey {
  const secret = randomBytes(32)
  return { secret, publicKey: x25519.getPublicKey(secret), createdAtMs }
}

function retire(rows: readonly Prekey[], nowMs: number): Prekey[] {
  return rows.map((row) => ({ retiredAtMs: nowMs, ...row }))
}

function isHeld({ retiredAtMs }: Prekey, nowMs: number): boolean {
  return retiredAtMs === undefined || nowMs - retiredAtMs < prekeyHeldMs
}

function inUse({ retiredAtMs }: Prekey): number {
  return retiredAtMs === undefined ? 1 : 0
}

function rowKey({ publicKey }: Prekey): string {
  return `x/${bytesToHex(publicKey)}`
}

/** Our own rows: a nonce, a sealed key of 48 bytes and two times. */
const rowBytesMax = 256

function encodeRow({ publicKey, secret, createdAtMs: at, retiredAtMs: out }: Prekey, key: Uint8Array): Uint8Array {
  const nonce = randomBytes(24)
  const sealed = xchacha20poly1305(key, nonce, publicKey).encrypt(secret)
  return encodeCanonical({ at, nonce, sealed, ...(out !== undefined && { out }) })
}

/**
 * Newest first. A row that this phrase cannot open is of another identity that had this folder, or damaged: it is
 * passed over, and a letter sealed to it is sent again by whoever wrote it.
 */
async function load(store: KeyValueStore, key: Uint8Array): Promise<Prekey[]> {
  const rows: Prekey[] = []
  for await (const [name, value] of store.iterator(prefixRange('x/'))) {
    const row = decodeRow(hexToBytes(name.slice(2)), value, key)
    if (row !== undefined) rows.push(row)
  }
  // The clock may have gone back between two of them: which is in use is said by the row, not by its age.
  return rows.toSorted((a, b) => inUse(b) - inUse(a) || b.createdAtMs - a.createdAtMs)
}

function decodeRow(publicKey: Uint8Array, value: Uint8Array, key: Uint8Array): Prekey | undefined {
  try {
    const { at, nonce, sealed, out } = decodeCanonical(value, { bytesMax: rowBytesMax }) as Row
    const secret = xchacha20poly1305(key, nonce, publicKey).decrypt(sealed)
    return { publicKey, secret, createdAtMs: at, ...(out !== undefined && { retiredAtMs: out }) }
  } catch {
    return undefined
  }
}

interface Row {
  readonly at: number
  readonly nonce: Uint8Array
  readonly sealed: Uint8Array
  readonly out?: number
}
