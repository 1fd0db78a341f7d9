import { categories } from '@souk/records/categories'
import type { Command } from 'commander'
import type { Begin } from '../invocation.ts'

/** Known without a node: the taxonomy is part of the protocol. */
export function addCategory(category: Command, begin: Begin): void {
  category
    .command('list')
    .description('ids and names')
    .argument('[words...]', 'only those with these words in their name')
    .option('--top', 'only the first level')
    .action(
      begin(async (run, words: readonly string[], { top }: { top?: boolean }) => {
        const rows = categories.flatMap(({ id, name, children }) => [
          { id, name, parent: null as string | null },
          ...(top === true ? [] : children.map((child) => ({ ...child, parent: id })))
        ])
        const found = rows.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word.toLowerCase())))
        await run.out.list(found, {
          columns: [
            { name: 'id', of: ({ id }) => id },
            { name: 'name', of: ({ name, parent }) => (parent !== null && run.out.isTerminal ? `  ${name}` : name) }
          ]
        })
      })
    )
}
