/**
 * `souk`, the command line: a person sells, finds, buys and rates from a terminal, or from a script.
 *
 * @example
 * ```sh
 * souk start &
 * souk listing create --title 'Enamel pot' --category hg --price '12.50 EUR' --photo pot.jpg --ship 'DE,FR:4.90'
 * souk search pot --json --fields key,title,price
 * ```
 *
 * @packageDocumentation
 */
export { CliError, exitStatusOf } from './errors.ts'
export type { CliErrorCode } from './errors.ts'
export type { DaemonFile } from './home.ts'
export type { Host } from './invocation.ts'
export { runSouk, version } from './program.ts'
