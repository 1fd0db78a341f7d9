/** One session that is being served. */
export interface Guest {
  /** Whose session it is; a peer has {@link PlacesInit.perPeerMax} places. */
  readonly peer: string
  /** Where it comes from: sessions of one block of addresses are taken for one party when places are short. */
  readonly block: string
  /** Ends the session: its place has been given to another. */
  leave(): void
}

export interface PlacesInit {
  readonly most: number
  readonly perPeerMax: number
  /** A guest may be asked to leave after this long when others wait. */
  readonly turnMs: number
  readonly clock: () => number
}

/**
 * Who is being served. A stream takes its place with its first question, so that opening and leaving takes none. When
 * all are taken, a newcomer gets the place of whoever has had its turn; and at once that of a block of addresses that
 * has more of them than the newcomer's: identities are free, addresses are not.
 */
export class Places {
  readonly #init: PlacesInit
  /** In the order in which they came. */
  readonly #guests = new Map<Guest, { readonly sinceMs: number }>()

  constructor(init: PlacesInit) {
    this.#init = init
  }

  /** False when there is no place for it now. */
  take(guest: Guest): boolean {
    if (this.#guests.has(guest)) return true
    const guests = [...this.#guests.keys()]
    if (guests.filter(({ peer }) => peer === guest.peer).length >= this.#init.perPeerMax) return false
    if (guests.length >= this.#init.most) {
      const leaving = this.#whoLeaves(guests, guest)
      if (leaving === undefined) return false
      this.leave(leaving)
      leaving.leave()
    }
    this.#guests.set(guest, { sinceMs: this.#init.clock() })
    return true
  }

  leave(guest: Guest): void {
    this.#guests.delete(guest)
  }

  /** The longest there of the block with most places, if that is more than fair or its time is up. */
  #whoLeaves(guests: readonly Guest[], newcomer: Guest): Guest | undefined {
    const places = new Map<string, number>()
    for (const { block } of guests) places.set(block, (places.get(block) ?? 0) + 1)
    const most = Math.max(...places.values())
    const crowding = guests.find(({ block }) => places.get(block) === most)
    if (most >= (places.get(newcomer.block) ?? 0) + 2) return crowding
    const endedMs = this.#init.clock() - this.#init.turnMs
    return guests.find((guest) => (this.#guests.get(guest)?.sinceMs ?? Infinity) <= endedMs)
  }
}
