import stringWidth from 'fast-string-width'
import { columnCellsMin } from './limits.ts'

/** One column: its name, its text for a row. */
export interface Column<T> {
  readonly name: string
  readonly of: (row: T) => string | number | undefined
  /** Numbers stand to the right. */
  readonly right?: boolean
  /** Shown on a terminal only when asked for with `--fields`; a pipe always gets it. */
  readonly wide?: boolean
}

/** Rows of cells under their names, no wider than the terminal. Cells are printable already. */
export function renderTable(
  table: { readonly names: readonly string[]; readonly right: readonly boolean[]; readonly rows: readonly string[][] },
  options: { readonly columns: number; readonly heading: (text: string) => string }
): string {
  const names = table.names.map((name) => name.toUpperCase())
  const widest = names.map((name, index) => widthOf([name, ...table.rows.map((row) => row[index] ?? '')]))
  const widths = fit(widest, options.columns)
  const line = (cells: readonly string[]): string =>
    widths.map((width, index) => pad(cells[index] ?? '', { width, right: table.right[index] ?? false })).join('  ')
  return [options.heading(line(names).trimEnd()), ...table.rows.map((row) => line(row).trimEnd())].join('\n')
}

/** Rows for programs: tabs between, one line each; a tab, line end or backslash within is escaped. */
export function renderTsv(rows: readonly string[][]): string {
  return rows.map((row) => row.map(escapeCell).join('\t')).join('\n')
}

/** Names and values beneath each other; a value of several lines is indented. */
export function renderDetails(
  rows: readonly (readonly [name: string, value: string])[],
  options: { readonly heading: (text: string) => string }
): string {
  const width = widthOf(rows.map(([name]) => name))
  const indent = `\n${' '.repeat(width + 2)}`
  return rows
    .map(([name, value]) => `${options.heading(name.padEnd(width))}  ${value.replaceAll('\n', indent)}`.trimEnd())
    .join('\n')
}

function escapeCell(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n')
}

function widthOf(texts: readonly string[]): number {
  return texts.reduce((most, text) => Math.max(most, stringWidth(text)), 0)
}

/** Takes from the widest column, cell by cell, until all fit or nothing more can be given. */
function fit(widest: readonly number[], columns: number): number[] {
  const widths = [...widest]
  const room = columns - 2 * (widths.length - 1)
  while (widths.reduce((sum, width) => sum + width, 0) > room) {
    const most = Math.max(...widths)
    if (most <= columnCellsMin) break
    widths[widths.indexOf(most)] = most - 1
  }
  return widths
}

function pad(text: string, { width, right }: { width: number; right: boolean }): string {
  const cut = cutTo(text, width)
  const space = ' '.repeat(Math.max(0, width - stringWidth(cut)))
  return right ? space + cut : cut + space
}

function cutTo(text: string, width: number): string {
  if (stringWidth(text) <= width) return text
  let cut = ''
  for (const character of text) {
    if (stringWidth(cut + character) > width - 1) break
    cut += character
  }
  return `${cut}…`
}
