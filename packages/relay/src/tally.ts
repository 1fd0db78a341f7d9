import type { Sample } from './exposition.ts'

/** Counts by label values: few and known ones, since each combination is a time series for ever. */
export class Tally<Label extends string> {
  readonly #counts = new Map<string, { readonly labels: Record<Label, string>; value: number }>()

  add(labels: Record<Label, string>, by = 1): void {
    const key = JSON.stringify(Object.values(labels))
    const entry = this.#counts.get(key)
    if (entry === undefined) this.#counts.set(key, { labels, value: by })
    else entry.value += by
  }

  samples(): Sample[] {
    return Array.from(this.#counts.values(), ({ labels, value }) => ({ labels, value }))
  }
}
