/**
 * Copies of letters under way: one sealed envelope for each installation that is to read it, kept until that
 * installation has acknowledged. The same envelope is offered each time, so that a relay recognises it and a stranger's
 * work is done once.
 *
 * Keys: `l/<did>/<message id, hex>/<device>` a {@link Copy}; `p/<proof>` the key of the copy that it acknowledges;
 * `f/<device>/<key>` one that follows by itself.
 */
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { decodeCanonical, type Did, encodeCanonical, sameBytes } from '@souk/records'
import { createQueue, type KeyValueOperation, type KeyValueStore, prefixRange } from '../store.ts'
import { envelopeBytesMax, payloadBytesMax, proofsPerCopyMax } from './limits.ts'

/** What names a letter for its writer. */
export interface LetterName {
  readonly to: Did
  readonly messageId: string
}

/** One letter for one installation. */
export interface Copy extends LetterName {
  /** See `Device.id`. */
  readonly device: string
  /** X25519 public key that it is sealed to. */
  readonly prekey: Uint8Array
  readonly envelope: Uint8Array
  /** What acknowledges it; of earlier envelopes too, which a relay may still hand out. The newest is last. */
  readonly proofs: readonly Uint8Array[]
  readonly payload: Uint8Array
  readonly sealedAtMs: number
  /** Another installation has acknowledged the letter: it counts as delivered, and this copy follows by itself. */
  readonly isLeft: boolean
}

export interface Copies {
  get(name: LetterName, device: string): Promise<Copy | undefined>
  save(copy: Copy): Promise<void>
  remove(copy: LetterName & Pick<Copy, 'device'>): Promise<void>
  /** The copy that a proof acknowledges; undefined when none waits for it. */
  findByProof(proof: Uint8Array): Promise<Copy | undefined>
  /**
   * The letter counts as delivered: what other installations have not acknowledged becomes {@link Copy.isLeft}.
   *
   * @param options.except - The installation whose acknowledgement is being taken in.
   */
  leaveRest(name: LetterName, options?: { readonly except?: string }): Promise<void>
  /** Copies of letters that count as delivered, oldest first: all, or those for one installation. */
  left(device?: string): Promise<Copy[]>
}

export function createCopies(components: { store: KeyValueStore }): Copies {
  const { store } = components
  const inOrder = createQueue()

  const read = async (key: string): Promise<Copy | undefined> => {
    const value = await store.get(key)
    return value && decodeCopy(value)
  }

  const under = async (prefix: string): Promise<Copy[]> => {
    const found: Copy[] = []
    for await (const [, value] of store.iterator(prefixRange(prefix))) found.push(decodeCopy(value))
    return found
  }

  const save = async (copy: Copy): Promise<void> => {
    const standing = await read(keyOf(copy))
    const all = [...(standing?.proofs ?? []), ...copy.proofs].filter(isFirst)
    const proofs = all.slice(-proofsPerCopyMax)
    const key = keyOf(copy)
    await store.batch([
      { type: 'put', key, value: encodeCopy({ ...copy, proofs }) },
      ...proofs.map((proof): KeyValueOperation => ({ type: 'put', key: proofKey(proof), value: utf8ToBytes(key) })),
      ...all.slice(0, -proofsPerCopyMax).map((proof): KeyValueOperation => ({ type: 'del', key: proofKey(proof) })),
      ...(copy.isLeft ? [{ type: 'put', key: leftKey(copy), value: utf8ToBytes(key) } as const] : [])
    ])
  }

  const remove = async (name: LetterName & Pick<Copy, 'device'>): Promise<void> => {
    const copy = await read(keyOf(name))
    if (copy === undefined) return
    const keys = [keyOf(copy), leftKey(copy), ...copy.proofs.map(proofKey)]
    await store.batch(keys.map((key) => ({ type: 'del', key })))
  }

  return {
    get: (name, device) => read(keyOf({ ...name, device })),
    save: (copy) => inOrder(() => save(copy)),
    remove: (name) => inOrder(() => remove(name)),
    async findByProof(proof) {
      const key = await store.get(proofKey(proof))
      return key && read(new TextDecoder().decode(key))
    },
    leaveRest: (name, { except } = {}) =>
      inOrder(async () => {
        const rest = (await under(letterPrefix(name))).filter(({ device }) => device !== except)
        for (const copy of rest) await save({ ...copy, isLeft: true })
      }),
    async left(device) {
      const found: Copy[] = []
      for await (const [, key] of store.iterator(prefixRange(device === undefined ? 'f/' : `f/${device}/`))) {
        const copy = await read(new TextDecoder().decode(key))
        if (copy !== undefined) found.push(copy)
      }
      return found.toSorted((a, b) => a.sealedAtMs - b.sealedAtMs)
    }
  }
}

function letterPrefix({ to, messageId }: LetterName): string {
  return `l/${to}/${bytesToHex(utf8ToBytes(messageId))}/`
}

function keyOf(copy: LetterName & Pick<Copy, 'device'>): string {
  return letterPrefix(copy) + copy.device
}

function leftKey(copy: LetterName & Pick<Copy, 'device'>): string {
  return `f/${copy.device}/${keyOf(copy)}`
}

function proofKey(proof: Uint8Array): string {
  return `p/${bytesToHex(proof)}`
}

function isFirst(proof: Uint8Array, index: number, proofs: readonly Uint8Array[]): boolean {
  return proofs.findIndex((other) => sameBytes(other, proof)) === index
}

/** Our own rows: an envelope, what is in it, and names. */
const copyBytesMax = envelopeBytesMax + payloadBytesMax + 1024

function encodeCopy({ sealedAtMs: at, isLeft: left, proofs, ...copy }: Copy): Uint8Array {
  return encodeCanonical({ ...copy, proofs: [...proofs], at, left })
}

function decodeCopy(value: Uint8Array): Copy {
  const { at, left, ...copy } = decodeCanonical(value, { bytesMax: copyBytesMax }) as Omit<
    Copy,
    'sealedAtMs' | 'isLeft'
  > & { at: number; left: boolean }
  return { ...copy, sealedAtMs: at, isLeft: left }
}
