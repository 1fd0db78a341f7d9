import { stripVTControlCharacters } from 'node:util'

/** Lines of a table with columns as wide as they need to be; the last one has what is left. */
export function renderTable(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = heads.map((head, column) => Math.max(...[head, ...rows.map((row) => row[column] ?? '')].map(cellsOf)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - cellsOf(cell)))
      .join('  ')
      .trimEnd()
  return [line(heads), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)]
}

function cellsOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length
}
