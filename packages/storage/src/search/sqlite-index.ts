import { rmSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  cacheKib,
  correctionsMax,
  countedMax,
  prefixWordsMax,
  queryTermsMax,
  rankedMax,
  termsLearntMax
} from './limits.ts'
import { boxAround, distanceKm } from './place.ts'
import type { IndexQuery, SearchDocument } from './query.ts'
import { createTokenizer, type Tokenizer } from './tokens.ts'
import { deletionsOf, isCorrectable, isOneEditApart } from './typos.ts'

/** Which store an index mirrors. A file that mirrors another, or another state of it, is made anew. */
export interface MirroredStore {
  readonly epoch: string
  /** Of the last change that the store has. An index ahead of it has seen what a power cut took. */
  readonly lastSequence: number
  /** The log is complete from here on only. */
  readonly trimmedTo: number
}

/** One page of the log: what has gone, and what is there now. */
export interface IndexBatch {
  readonly deletes: readonly Uint8Array[]
  readonly puts: readonly SearchDocument[]
  /** Everything up to here is in the index afterwards. */
  readonly upTo: number
}

export interface IndexHit {
  readonly digest: Uint8Array
  readonly score: number
  readonly title: string
  readonly km?: number
}

export interface IndexResult {
  readonly hits: readonly IndexHit[]
  readonly total: number
  readonly indexedSequence: number
  readonly corrections: Readonly<Record<string, readonly string[]>>
}

/** Listings in SQLite: full text in FTS5, places in an R*Tree, the rest in columns. A copy: it can be thrown away. */
export interface SqliteIndex {
  readonly sequence: number
  apply(batch: IndexBatch): void
  query(query: IndexQuery): IndexResult
  close(): void
}

/** Changes with the tables below: an index of another version is made anew. */
const version = 1

/*
 * A document's row number is its time of creation, times 1024, and a counter: the newest are the highest rows, so
 * "newest first" is the order in which SQLite has them, read backwards.
 */
const rowsPerMs = 1024

const schema = `
  create table state (version integer, epoch text, sequence integer);
  create table documents (
    row integer primary key, digest blob unique, market text, author text, type text, category text, top text,
    country text, currency text, price text, function text, condition text, expires integer, title text,
    lat real, lon real
  );
  create index by_category on documents (category, row);
  create index by_top on documents (top, row);
  create index by_author on documents (author, row);
  create index by_price on documents (currency, price);
  create virtual table texts using fts5(
    title, body, content='', contentless_delete=1, prefix='3',
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'"
  );
  create virtual table vocabulary using fts5vocab(texts, 'row');
  create virtual table places using rtree(row, south, north, west, east);
  create table typos (deletion text, term text, primary key (deletion, term)) without rowid;
`

/**
 * Opens an index, or makes one: whatever is wrong with the file, it is deleted.
 *
 * @param path - A file, or `:memory:`.
 */
export function openSqliteIndex(path: string, store: MirroredStore): SqliteIndex {
  try {
    return new Fts5Index(openExisting(path, store))
  } catch {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
    return new Fts5Index(createNew(path, store))
  }
}

function openExisting(path: string, { epoch, lastSequence, trimmedTo }: MirroredStore): DatabaseSync {
  const database = openFile(path)
  try {
    const state = database.prepare('select version, epoch, sequence from state').get()
    const sequence = Number(state?.['sequence'])
    const isCurrent = state?.['version'] === version && state['epoch'] === epoch
    if (isCurrent && sequence <= lastSequence && (sequence >= trimmedTo || trimmedTo === 0)) return database
    throw new Error('the index mirrors another store, or another state of it')
  } catch (error) {
    database.close()
    throw error
  }
}

function createNew(path: string, { epoch }: MirroredStore): DatabaseSync {
  const database = openFile(path)
  database.exec(schema)
  database.prepare('insert into state values (?, ?, 0)').run(version, epoch)
  return database
}

function openFile(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  database.exec(`
    pragma journal_mode = wal; pragma synchronous = normal; pragma cache_size = -${cacheKib};
    pragma temp_store = memory; pragma journal_size_limit = 4194304;
  `)
  return database
}

interface Condition {
  readonly sql: string
  readonly values: readonly SQLInputValue[]
}

/** A parsed text: one FTS5 expression, and whether ranking its matches is affordable. */
interface Match {
  readonly expression: string
  readonly isRanked: boolean
  readonly corrections: Readonly<Record<string, readonly string[]>>
}

interface Row {
  readonly row: number
  readonly digest: Uint8Array
  readonly title: string
  readonly lat: number | null
  readonly lon: number | null
  readonly score: number
}

class Fts5Index implements SqliteIndex {
  readonly #database: DatabaseSync
  readonly #tokenize: Tokenizer = createTokenizer()
  readonly #statements = new Map<string, StatementSync>()
  /** Terms entered lately, to ask the table about common words once and not for each document. */
  readonly #learnt = new Set<string>()
  #sequence: number

  constructor(database: DatabaseSync) {
    this.#database = database
    this.#sequence = Number(this.#one('select sequence from state')?.['sequence'])
  }

  get sequence(): number {
    return this.#sequence
  }

  apply({ deletes, puts, upTo }: IndexBatch): void {
    // FTS5 writes out what it has gathered whenever a row is below the one before: in ascending order, one batch is
    // one segment, in descending order each document is one, at 1.4 times the CPU.
    const ascending = puts.toSorted((a, b) => a.createdAtMs - b.createdAtMs)
    this.#database.exec('begin')
    try {
      for (const digest of deletes) this.#delete(digest)
      for (const document of ascending) this.#put(document)
      this.#run('update state set sequence = ?', upTo)
      this.#database.exec('commit')
    } catch (error) {
      this.#database.exec('rollback')
      this.#learnt.clear()
      throw error
    }
    this.#sequence = upTo
  }

  query(query: IndexQuery): IndexResult {
    const match = query.text === undefined ? undefined : this.#match(query.text, 'AND')
    const found = this.#find(query, match)
    // Nothing has all the words: then what has most of them.
    if (found.total > 0 || match === undefined) return found
    return this.#find(query, this.#match(query.text ?? '', 'OR'))
  }

  close(): void {
    this.#database.close()
  }

  #put(document: SearchDocument): void {
    if (this.#one('select 1 from documents where digest = ?', document.digest) !== undefined) return
    const { createdAtMs, title, body, lat, lon } = document
    const row = this.#freeRow(createdAtMs)
    const { digest, market, author, type, category, topCategory, country, currency, price, condition } = document
    const values = [digest, market, author, type, category, topCategory, country, currency, price]
    this.#run(
      'insert into documents values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      row,
      ...values,
      document.businessFunction,
      condition,
      document.expiresAtMs,
      title,
      lat,
      lon
    )
    const [titleTerms, bodyTerms] = [this.#tokenize(title), this.#tokenize(body)]
    this.#run('insert into texts (rowid, title, body) values (?, ?, ?)', row, titleTerms.join(' '), bodyTerms.join(' '))
    if (lat !== null && lon !== null) this.#run('insert into places values (?, ?, ?, ?, ?)', row, lat, lat, lon, lon)
    for (const term of new Set([...titleTerms, ...bodyTerms])) this.#learn(term)
  }

  #delete(digest: Uint8Array): void {
    const row = this.#one('select row from documents where digest = ?', digest)?.['row'] as number | undefined
    if (row === undefined) return
    this.#run('delete from documents where row = ?', row)
    this.#run('delete from texts where rowid = ?', row)
    this.#run('delete from places where row = ?', row)
  }

  #freeRow(createdAtMs: number): number {
    const first = createdAtMs * rowsPerMs
    const last = this.#one(
      'select max(row) as row from documents where row between ? and ?',
      first,
      first + rowsPerMs - 1
    )
    return typeof last?.['row'] === 'number' ? last['row'] + 1 : first
  }

  /** Enters a new word with its deletions, for typos of it. */
  #learn(term: string): void {
    if (this.#learnt.has(term) || !isCorrectable(term)) return
    if (this.#learnt.size >= termsLearntMax) this.#learnt.clear()
    this.#learnt.add(term)
    const insert = 'insert or ignore into typos values (?, ?)'
    if (this.#run(insert, term, term) === 0) return
    for (const deletion of deletionsOf(term)) this.#run(insert, deletion, term)
  }

  #match(text: string, operator: 'AND' | 'OR'): Match {
    const terms = this.#tokenize(text).slice(0, queryTermsMax)
    if (terms.length === 0) return { expression: '', isRanked: false, corrections: {} }
    const corrections: Record<string, string[]> = {}
    let rarest = Infinity
    const groups = terms.map((term, index) => {
      const isLast = index === terms.length - 1
      const common = isLast ? this.#prefixCount(term) : this.#documentCount(term)
      const corrected = common === 0 ? this.#correct(term) : []
      if (corrected.length > 0) corrections[term] = corrected
      rarest = Math.min(rarest, common === 0 ? 0 : common)
      const quoted = corrected.map((word) => `"${word}"`)
      return `(${[isLast ? `"${term}"*` : `"${term}"`, ...quoted].join(' OR ')})`
    })
    return { expression: groups.join(` ${operator} `), isRanked: rarest <= rankedMax, corrections }
  }

  #documentCount(term: string): number {
    return Number(this.#one('select doc from vocabulary where term = ?', term)?.['doc'] ?? 0)
  }

  #prefixCount(prefix: string): number {
    const sql = `select sum(doc) as total from (
      select doc from vocabulary where term >= ? and term < ? limit ${prefixWordsMax})`
    return Number(this.#one(sql, prefix, `${prefix}\u{10ffff}`)?.['total'] ?? 0)
  }

  /** Known words one edit away, the most frequent first. */
  #correct(term: string): string[] {
    if (!isCorrectable(term)) return []
    const sql = 'select distinct term from typos where deletion in (select value from json_each(?))'
    const candidates = this.#all(sql, JSON.stringify(deletionsOf(term))).map((row) => String(row['term']))
    return candidates
      .filter((candidate) => isOneEditApart(term, candidate))
      .map((candidate) => ({ candidate, documents: this.#documentCount(candidate) }))
      .filter(({ documents }) => documents > 0)
      .toSorted((a, b) => b.documents - a.documents)
      .slice(0, correctionsMax)
      .map(({ candidate }) => candidate)
  }

  #find(query: IndexQuery, match: Match | undefined): IndexResult {
    const corrections = match?.corrections ?? {}
    const indexedSequence = this.#sequence
    if (match?.expression === '') return { hits: [], total: 0, indexedSequence, corrections }
    const page = query.near === undefined ? this.#page(query, match) : this.#pageNear(query, query.near, match)
    return { ...page, indexedSequence, corrections }
  }

  /** Order and page in SQL. */
  #page(query: IndexQuery, match: Match | undefined): Pick<IndexResult, 'hits' | 'total'> {
    const { sql, values } = conditionsOf(query)
    const isRanked = match?.isRanked === true && query.sort === 'relevance'
    // `cross` fixes the order: asking the text index about one row after the other is what must not happen.
    const from = match === undefined ? 'documents d' : 'texts cross join documents d on d.row = texts.rowid'
    const where = match === undefined ? sql : `texts match ? and ${sql}`
    const bound = match === undefined ? values : [match.expression, ...values]
    const score = isRanked ? '-bm25(texts, 3.0, 1.0)' : '0'
    const rows = this.#all(
      `select d.row, digest, d.title, lat, lon, ${score} as score from ${from} where ${where}
       order by ${orderOf(query, { isRanked, hasText: match !== undefined })} limit ? offset ?`,
      ...bound,
      query.limit,
      query.offset
    ) as unknown as Row[]
    const count = this.#one(
      `select count(*) as total from (select 1 from ${from} where ${where} limit ${countedMax})`,
      ...bound
    )
    return { hits: rows.map((row) => hitOf(row)), total: Number(count?.['total']) }
  }

  /**
   * Places first, then texts, intersected here: asking SQLite for each row in turn whether it matches costs 67 ms
   * where the two lists cost 4.
   */
  #pageNear(
    query: IndexQuery,
    near: NonNullable<IndexQuery['near']>,
    match: Match | undefined
  ): Pick<IndexResult, 'hits' | 'total'> {
    const distances = this.#distances(near)
    const scores = match === undefined ? undefined : this.#scores(match, query)
    const rows = [...distances.keys()].filter((row) => scores === undefined || scores.has(row))
    const { sql, values } = conditionsOf(query)
    const found = this.#all(
      `select d.row, digest, d.title, lat, lon, 0 as score from documents d
       where d.row in (select value from json_each(?)) and ${sql}
       order by ${orderOf(query, { isRanked: false, hasText: false })}`,
      JSON.stringify(rows),
      ...values
    ) as unknown as Row[]
    const hits = found.map((row) => ({
      ...hitOf({ ...row, score: scores?.get(row.row) ?? 0 }),
      km: distances.get(row.row) ?? 0
    }))
    if (query.sort === 'relevance') hits.sort((a, b) => b.score - a.score)
    if (query.sort === 'distance') hits.sort((a, b) => a.km - b.km)
    return { hits: hits.slice(query.offset, query.offset + query.limit), total: Math.min(hits.length, countedMax) }
  }

  #distances(near: NonNullable<IndexQuery['near']>): Map<number, number> {
    const { south, north, west, east } = boxAround(near, near.km)
    // The tree keeps 32-bit floats, rounded outwards.
    const longitudes = west <= east ? '(east >= ? and west <= ?)' : '(east >= ? or west <= ?)'
    const rows = this.#all(
      `select d.row, d.lat, d.lon from places p join documents d on d.row = p.row
       where p.north >= ? and p.south <= ? and ${longitudes}`,
      south,
      north,
      west,
      east
    ) as unknown as { row: number; lat: number; lon: number }[]
    const distances = rows.map(({ row, lat, lon }): [number, number] => [row, distanceKm(near, { lat, lon })])
    return new Map(distances.filter(([, km]) => km <= near.km))
  }

  #scores({ expression, isRanked }: Match, { sort }: IndexQuery): Map<number, number> {
    const score = isRanked && sort === 'relevance' ? '-bm25(texts, 3.0, 1.0)' : '0'
    const rows = this.#all(`select rowid as row, ${score} as score from texts where texts match ?`, expression)
    return new Map(rows.map((row) => [row['row'] as number, row['score'] as number]))
  }

  #one(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#statement(sql).get(...values)
  }

  #all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#statement(sql).all(...values)
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes)
  }

  #statement(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

function hitOf({ digest, title, score }: Row): IndexHit {
  return { digest: new Uint8Array(digest), score, title }
}

function conditionsOf(query: IndexQuery): Condition {
  const conditions: [string, SQLInputValue | undefined][] = [
    ['d.expires > ?', query.nowMs],
    ['d.market = ?', query.market],
    ['d.type = ?', query.type],
    ['d.category = ?', query.category],
    ['d.top = ?', query.topCategory],
    ['d.country = ?', query.country],
    ['d.currency = ?', query.currency],
    ['d.price >= ?', query.priceMin],
    ['d.price <= ?', query.priceMax],
    ['d.function = ?', query.businessFunction],
    ['d.condition = ?', query.condition],
    ['d.author = ?', query.author]
  ]
  const given = conditions.filter((condition): condition is [string, SQLInputValue] => condition[1] !== undefined)
  return { sql: given.map(([sql]) => sql).join(' and '), values: given.map(([, value]) => value) }
}

function orderOf({ sort }: IndexQuery, { isRanked, hasText }: { isRanked: boolean; hasText: boolean }): string {
  // FTS5 gives its rows in the order of their numbers at no cost; sorting by the joined column would read them all.
  const newest = hasText ? 'texts.rowid desc' : 'd.row desc'
  // The index by currency and price has exactly these orders.
  if (sort === 'price-ascending') return 'd.price, d.row'
  if (sort === 'price-descending') return 'd.price desc, d.row desc'
  return isRanked ? `score desc, ${newest}` : newest
}
