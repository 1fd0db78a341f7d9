/**
 * How much of a bounded room each party holds. When the room is full, whoever holds most gives way: a flood from one
 * block of addresses crowds out itself, and an honest newcomer from elsewhere still finds a place.
 */
export class Shares {
  readonly #held = new Map<string, number>()
  #total = 0

  get total(): number {
    return this.#total
  }

  of(party: string): number {
    return this.#held.get(party) ?? 0
  }

  /** @param amount - Below zero to take back. */
  add(party: string, amount: number): void {
    const held = this.of(party) + amount
    this.#total += amount
    if (held > 0) this.#held.set(party, held)
    else this.#held.delete(party)
  }

  /** Who holds most, and must give way to `newcomer`; undefined when that is the newcomer itself, or as much as it has. */
  crowding(newcomer: string): string | undefined {
    let [party, most] = [newcomer, this.of(newcomer)]
    for (const [name, held] of this.#held) if (held > most) [party, most] = [name, held]
    return party === newcomer ? undefined : party
  }
}
