/**
 * What a node stores of the DHT: its own values, and those that others put. kad-dht takes whatever its validator takes
 * and deletes only what somebody asks for after it has lapsed, so that a stranger could fill the disk; here every byte
 * is counted to the peer that brought it and to the block of addresses that it came from.
 */
import type { PeerId } from '@libp2p/interface'
import { KeyTransformDatastore } from 'datastore-core'
import { type Datastore, Key } from 'interface-datastore'
import { sameBytes } from '@souk/records'
import { Shares } from '../guard/shares.ts'
import { ProtocolError } from '../protocol-error.ts'
import { createQueue } from '../store.ts'
import { rowOf } from '../presence/value.ts'
import { sha256 } from '../sha256.ts'
import { lapseCheckMs, type ReplicaLimits, rewriteAfterMs, valueLifeMs } from './limits.ts'

/** Who has a value stored. */
export interface Putter {
  readonly peer: PeerId
  /** Of addresses, as the guard counts them. */
  readonly block: string
  /** What it has sent. */
  readonly record?: Uint8Array | undefined
}

export interface ReplicasInit {
  readonly now: () => number
  readonly limits: ReplicaLimits
  /** The peer whose question is being answered; undefined for what this node puts itself. */
  readonly putter: () => Putter | undefined
}

/** What kad-dht has for a datastore. Throws {@link ProtocolError} `peer-full`, `address-full` or `store-full`. */
export class Replicas extends KeyTransformDatastore {
  readonly #child: Datastore
  readonly #init: ReplicasInit
  readonly #inOrder = createQueue()
  /** In the order in which they came. */
  readonly #values = new Map<string, Value>()
  readonly #peers = new Shares()
  readonly #blocks = new Shares()
  #checkedAtMs: number | undefined

  constructor(child: Datastore, init: ReplicasInit) {
    super(child, { convert: (key) => key, invert: (key) => key })
    this.#child = child
    this.#init = init
  }

  override put(key: Key, bytes: Uint8Array): Promise<Key> {
    const putter = this.#init.putter()
    return this.#inOrder(async () => {
      await this.#dropLapsed()
      const name = key.toString()
      const value = this.#valueOf(bytes, putter)
      await this.#makeRoom(name, value)
      await this.#child.put(key, bytes)
      this.#forget(name)
      this.#remember(name, value)
      return key
    })
  }

  /** Known without a look at the disk: all that there is has been loaded, or has come since. */
  override has(key: Key): Promise<boolean> {
    return this.#inOrder(async () => {
      await this.#dropLapsed()
      return this.#values.has(key.toString())
    })
  }

  /** True for bytes that this very peer had stored under a key within the hour, and that are held still. */
  hasFrom({ peer, record }: Putter, key: Uint8Array | undefined): boolean {
    if (record === undefined || key === undefined) return false
    const value = this.#values.get(rowOf(key).toString())
    if (value === undefined || value.peer !== peer.toString() || value.sent === undefined) return false
    return this.#init.now() - value.atMs < rewriteAfterMs && sameBytes(value.sent, sha256(record))
  }

  override delete(key: Key): Promise<void> {
    return this.#inOrder(async () => {
      await this.#child.delete(key)
      this.#forget(key.toString())
    })
  }

  /**
   * To be asked before anything is checked that a peer puts.
   *
   * @throws {@link ProtocolError} `peer-full` or `address-full` when not even a small value more would find room.
   */
  requireRoom({ peer, block }: Putter): void {
    this.#requireRoom({ peer: peer.toString(), block }, { peer: smallBytes, block: smallBytes })
  }

  #valueOf({ length }: Uint8Array, putter: Putter | undefined): Value {
    return {
      bytes: length,
      atMs: this.#init.now(),
      peer: putter?.peer.toString() ?? self,
      block: putter?.block ?? self,
      sent: putter?.record && sha256(putter.record)
    }
  }

  /** A value that is put again counts from then on to the one that put it last. */
  async #makeRoom(name: string, value: Value): Promise<void> {
    if (value.peer === self) return
    const before = this.#values.get(name)
    const more = (of: 'peer' | 'block'): number => value.bytes - (before?.[of] === value[of] ? before.bytes : 0)
    this.#requireRoom(value, { peer: more('peer'), block: more('block') })
    while (this.#blocks.total + value.bytes - (before?.bytes ?? 0) > this.#init.limits.bytesMax)
      await this.#giveWay(value.block)
  }

  #requireRoom({ peer, block }: Pick<Value, 'peer' | 'block'>, more: { peer: number; block: number }): void {
    const { bytesPerPeerMax, bytesPerBlockMax } = this.#init.limits
    if (this.#peers.of(peer) + more.peer > bytesPerPeerMax) {
      throw new ProtocolError('peer-full', `${bytesPerPeerMax} bytes of this peer's values are held already`)
    }
    if (this.#blocks.of(block) + more.block > bytesPerBlockMax) {
      throw new ProtocolError('address-full', `${bytesPerBlockMax} bytes from its block of addresses are held already`)
    }
  }

  async #giveWay(newcomer: string): Promise<void> {
    const crowding = this.#blocks.crowding(newcomer)
    const oldest = [...this.#values].find(([, { block }]) => block === crowding)?.[0]
    if (oldest === undefined) throw new ProtocolError('store-full', 'nobody has more here than this one')
    await this.#child.delete(new Key(oldest))
    this.#forget(oldest)
  }

  #remember(name: string, value: Value): void {
    this.#values.set(name, value)
    this.#count(value, 1)
  }

  #forget(name: string): void {
    const value = this.#values.get(name)
    if (value === undefined) return
    this.#values.delete(name)
    this.#count(value, -1)
  }

  /** What this node has put itself takes no room from anybody, and gives way to nobody. */
  #count({ peer, block, bytes }: Value, sign: 1 | -1): void {
    if (peer === self) return
    this.#peers.add(peer, sign * bytes)
    this.#blocks.add(block, sign * bytes)
  }

  async #dropLapsed(): Promise<void> {
    const nowMs = this.#init.now()
    if (this.#checkedAtMs === undefined) await this.#load()
    else if (nowMs - this.#checkedAtMs < lapseCheckMs) return
    this.#checkedAtMs = nowMs
    for (const [name, { atMs }] of this.#values) {
      if (nowMs - atMs < valueLifeMs) continue
      await this.#child.delete(new Key(name))
      this.#forget(name)
    }
  }

  /** What an earlier run left: whose it was is not known any more, and it has its time once more. */
  async #load(): Promise<void> {
    for await (const { key, value } of this.#child.query({ prefix: '/dht/' })) {
      this.#remember(key.toString(), { ...this.#valueOf(value, undefined), peer: earlier, block: earlier })
    }
  }
}

interface Value {
  readonly bytes: number
  readonly atMs: number
  readonly peer: string
  readonly block: string
  /** A hash of what its peer sent. */
  readonly sent: Uint8Array | undefined
}

/** Less than any feedback or presence has. */
const smallBytes = 128

const self = 'self'
const earlier = 'earlier'
