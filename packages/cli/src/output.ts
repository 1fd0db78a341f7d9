import { styleText } from 'node:util'
import type { RouteName } from '@souk/api'
import { CliError } from './errors.ts'
import { terminalColumns } from './limits.ts'
import { type Column, renderDetails, renderTable, renderTsv } from './table.ts'
import { printable, printableJson, printableLines } from './text.ts'

/** How one kind of thing is written: which columns, and which route's schema names its fields. */
export interface Shape<T> {
  readonly columns: readonly Column<T>[]
  readonly route?: RouteName
}

/** Where answers go: a table on a terminal, TSV in a pipe, JSON when asked for. */
export interface Output {
  /** Answers with many; `whole` is what `--json` prints instead of the rows. */
  list<T extends object>(rows: readonly T[], shape: Shape<T>, options?: { readonly whole?: object }): Promise<void>
  /** Answers with one; `rows` is how a terminal shows it. */
  show<T extends object>(view: T, shape: Shape<T>): Promise<void>
  /** One event of a stream: a line at once. */
  line(view: object, text: string): void
  /** For a person who looks on, on stderr; programs do not get it. */
  note(text: string): void
  /** As {@link note}, and programs' logs get it too: something is not as it should be. */
  warn(text: string): void
  readonly isTerminal: boolean
}

export interface OutputInit {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly json: boolean
  readonly fields: readonly string[] | undefined
}

export function createOutput({ stdout, stderr, json, fields }: OutputInit): Output {
  const isTerminal = stdout.isTTY
  const heading = (text: string): string => (isTerminal ? styleText('bold', text, { stream: stdout }) : text)
  const print = (text: string): void => void stdout.write(text === '' ? '' : `${text}\n`)
  const printJson = (value: unknown): void => print(printableJson(value, isTerminal ? { indent: 2 } : {}))

  return {
    isTerminal,
    async list(rows, shape, { whole } = {}) {
      const columns = await columnsFor(rows, shape, { fields, isTerminal })
      if (json) return printJson(fields === undefined ? (whole ?? rows) : rows.map((row) => pick(row, fields)))
      const cells = rows.map((row) => columns.map(({ of }) => cellText(of(row))))
      if (!isTerminal) return print(renderTsv(cells))
      if (rows.length === 0) return
      const table = {
        names: columns.map(({ name }) => name),
        right: columns.map(({ right }) => right ?? false),
        rows: cells.map((row) => row.map(printable))
      }
      print(renderTable(table, { columns: stdout.columns || terminalColumns, heading }))
    },
    async show(view, shape) {
      const columns = await columnsFor([view], shape, { fields, isTerminal: false })
      if (json) return printJson(fields === undefined ? view : pick(view, fields))
      const rows = columns.map(({ name, of }): [string, string] => [name, cellText(of(view))])
      if (isTerminal) {
        const shown = rows.filter(([, value]) => value !== '' || fields !== undefined)
        return print(
          renderDetails(
            shown.map(([name, value]) => [name, printableLines(value)]),
            { heading }
          )
        )
      }
      print(renderTsv(fields === undefined ? rows : [rows.map(([, value]) => value)]))
    },
    line: (view, text) => print(json ? printableJson(view) : printable(text)),
    note(text) {
      if (stderr.isTTY && !json) stderr.write(`${text}\n`)
    },
    warn: (text) => void stderr.write(`${text}\n`)
  }
}

/** The columns to write: those of the shape, or the fields that were asked for. */
async function columnsFor<T extends object>(
  rows: readonly T[],
  shape: Shape<T>,
  { fields, isTerminal }: { fields: readonly string[] | undefined; isTerminal: boolean }
): Promise<readonly Column<T>[]> {
  if (fields === undefined) return shape.columns.filter(({ wide }) => !(isTerminal && wide))
  const columns: Column<T>[] = []
  for (const name of fields) {
    const column = shape.columns.find((candidate) => candidate.name === name)
    if (column === undefined) await requireField(name, rows, shape)
    columns.push(column ?? { name, of: (row) => valueText(valueAt(row, name)) })
  }
  return columns
}

/** A misspelt field must not look like an empty one. Optional fields that no row has are in the route's schema. */
async function requireField<T extends object>(path: string, rows: readonly T[], shape: Shape<T>): Promise<void> {
  if (rows.some((row) => valueAt(row, path) !== undefined)) return
  const names = new Set([...(await fieldNames(shape.route)), ...rows.flatMap((row) => Object.keys(row))])
  if (names.has(path.split('.', 1)[0] ?? '')) return
  const known = [...new Set([...shape.columns.map(({ name }) => name), ...names])].toSorted()
  throw new CliError('unknown-field', `there is no field "${printable(path)}"`, { hint: `known: ${known.join(', ')}` })
}

async function fieldNames(route: RouteName | undefined): Promise<string[]> {
  if (route === undefined) return []
  const { contract } = await import('@souk/api')
  const { response } = contract[route] as { response: unknown }
  return Object.keys(shapeOf(response))
}

/** Fields of an object's schema, or of an array's elements, or of a page's hits. */
function shapeOf(schema: unknown): object {
  const { shape, element } = schema as { shape?: Record<string, unknown>; element?: unknown }
  if (element !== undefined) return shapeOf(element)
  if (shape?.['hits'] !== undefined) return shapeOf(shape['hits'])
  return shape ?? {}
}

/** `price.minor` of `{price: {minor: '1250'}}`. */
function valueAt(view: object, path: string): unknown {
  let value: unknown = view
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/** The fields asked for, each under the path by which it was asked for. */
function pick(view: object, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((path) => [path, valueAt(view, path) ?? null]))
}

function valueText(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Escapes of TSV take care of tabs and line ends; the rest is what a terminal might obey. */
function cellText(value: string | number | undefined): string {
  return value === undefined ? '' : printableLines(String(value))
}
