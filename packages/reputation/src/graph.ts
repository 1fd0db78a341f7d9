import { ReputationError } from './error.ts'
import { checkEdge, checkOrder, dayOf, type CompletedOrder, type FeedbackEdge, type Role } from './feedback.ts'
import { Ledger } from './ledger.ts'
import { cachedScoresMax, edgesMaxDefault, rootsMax, walksDefault } from './limits.ts'
import { createRandom } from './random.ts'
import { scoreOf, type Score } from './score.ts'
import { createTrustTable, type TrustTable } from './trust.ts'
import { walk } from './walk.ts'

export interface GraphInit {
  /**
   * Seeds the walks: one number, one result. A node draws it once at random and keeps it, so that nobody can choose
   * whom to befriend by replaying its walks. From 0 to 2^32 − 1.
   */
  seed: number
  /** Walks a score; default 8,000. */
  walks?: number
  /** Edges and orders to hold; default 250,000. */
  edgesMax?: number
}

/** Who asks, and when. */
export interface Reader {
  /** The reader; for somebody who has not traded yet, the curators that their market names. 1 to 64. */
  roots: readonly string[]
  /** The reader's clock; only its UTC day matters. */
  nowMs: number
  /** In which role the subject is asked about; default `seller`. */
  as?: Role
}

/** Feedback between people, and what it says about one of them to another. */
export interface ReputationGraph {
  /** Edges and completed orders held. */
  readonly size: number
  /** Takes a feedback record whose signature and receipt hold. False when it is there already. Throws `bad-edge`, `full`. */
  add(edge: FeedbackEdge): boolean
  remove(edge: FeedbackEdge): boolean
  /**
   * Tells of a completed order; from 14 days on it counts as silent until its other side has spoken. False when one of
   * this id between these two is there: the first is kept. Throws `bad-edge`, `full`.
   */
  addOrder(order: CompletedOrder): boolean
  removeOrder(order: CompletedOrder): boolean
  /** What a reader can know of a subject. Kept until the graph changes or the day ends. Throws `bad-request`. */
  score(subject: string, reader: Reader): Score
}

/**
 * Makes an empty graph.
 *
 * @throws ReputationError `bad-init`.
 */
export function createGraph(init: GraphInit): ReputationGraph {
  return new Graph(init)
}

class Graph implements ReputationGraph {
  readonly #seed: number
  readonly #walks: number
  readonly #edgesMax: number
  readonly #ledger = new Ledger()
  readonly #ids: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #scores = new Map<string, Score>()
  #tables = new Map<string, TrustTable>()
  #tablesDay = 0

  constructor({ seed, walks = walksDefault, edgesMax = edgesMaxDefault }: GraphInit) {
    checkWhole('seed', seed, { min: 0, max: 2 ** 32 - 1 })
    checkWhole('walks', walks, { min: 1, max: 1_000_000 })
    checkWhole('edgesMax', edgesMax, { min: 1, max: 2 ** 31 })
    this.#seed = seed
    this.#walks = walks
    this.#edgesMax = edgesMax
  }

  get size(): number {
    return this.#ledger.size
  }

  add(edge: FeedbackEdge): boolean {
    checkEdge(edge)
    this.#checkRoom()
    return this.#changed(this.#ledger.add(edge), edge.rater)
  }

  remove(edge: FeedbackEdge): boolean {
    return this.#changed(this.#ledger.remove(edge), edge.rater)
  }

  addOrder(order: CompletedOrder): boolean {
    checkOrder(order)
    this.#checkRoom()
    return this.#changed(this.#ledger.addOrder(order))
  }

  removeOrder(order: CompletedOrder): boolean {
    return this.#changed(this.#ledger.removeOrder(order))
  }

  score(subject: string, { roots, nowMs, as = 'seller' }: Reader): Score {
    checkReader(roots, nowMs)
    const today = dayOf(nowMs)
    const key = JSON.stringify([subject, as, today, [...roots].toSorted()])
    const score = this.#scores.get(key) ?? this.#compute({ subject, role: as, today }, roots)
    if (this.#scores.size >= cachedScoresMax) this.#scores.clear()
    this.#scores.set(key, score)
    return structuredClone(score)
  }

  #compute(question: { subject: string; role: Role; today: number }, roots: readonly string[]): Score {
    const starts = [...new Set(roots)].filter((root) => root !== question.subject).toSorted()
    const numberOf = (id: string): number => this.#numbers.get(id) ?? -1
    const walks = walk(
      starts.map((root) => this.#numbered(root)),
      {
        count: this.#walks,
        avoid: this.#numbered(question.subject),
        random: createRandom(this.#seed),
        tableOf: (person) => this.#tableOf(person, question.today)
      }
    )
    return scoreOf(this.#ledger, question, { walks, numberOf, idOf: (number) => this.#ids[number] as string })
  }

  #tableOf(person: number, today: number): TrustTable {
    if (today !== this.#tablesDay) this.#tables = new Map()
    this.#tablesDay = today
    const id = this.#ids[person] as string
    let table = this.#tables.get(id)
    if (!table) {
      table = createTrustTable(this.#ledger.by(id), { today, numberOf: (other) => this.#numbered(other) })
      this.#tables.set(id, table)
    }
    return table
  }

  /** The number of an id, given at the first need and kept. */
  #numbered(id: string): number {
    let number = this.#numbers.get(id)
    if (number === undefined) {
      number = this.#ids.push(id) - 1
      this.#numbers.set(id, number)
    }
    return number
  }

  #changed(changed: boolean, rater?: string): boolean {
    if (changed) this.#scores.clear()
    if (changed && rater !== undefined) this.#tables.delete(rater)
    return changed
  }

  #checkRoom(): void {
    if (this.size >= this.#edgesMax) throw new ReputationError('full', `${this.#edgesMax} edges are held already`)
  }
}

function checkReader(roots: readonly string[], nowMs: number): void {
  if (roots.length === 0 || roots.length > rootsMax) {
    throw new ReputationError('bad-request', `${roots.length} roots; 1 to ${rootsMax} are possible`)
  }
  if (!Number.isSafeInteger(nowMs) || nowMs < 0) throw new ReputationError('bad-request', `a time of ${nowMs} ms`)
}

function checkWhole(name: string, value: number, { min, max }: { min: number; max: number }): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return
  throw new ReputationError('bad-init', `${name} is ${value}; it is a whole number from ${min} to ${max}`)
}
