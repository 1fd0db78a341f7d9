import { CliError } from './errors.ts'

/** Questions to a person. There is none without a terminal, or with `--no-input`. */
export interface Ask {
  text(question: string, options?: { readonly placeholder?: string; readonly required?: boolean }): Promise<string>
  secret(question: string): Promise<string>
  confirm(question: string): Promise<boolean>
  choose<T extends string>(question: string, options: readonly { value: T; label: string }[]): Promise<T>
  /** Shows something that must be read. */
  tell(title: string, text: string): Promise<void>
}

/** Questions are written to stderr, so that an answer on stdout can go into a pipe. */
export function createAsk(output: NodeJS.WriteStream): Ask {
  // Loaded with the first question: most commands ask nothing.
  const load = () => import('@clack/prompts')
  return {
    async text(question, { placeholder, required = true } = {}) {
      const { text, isCancel } = await load()
      const answer = await text({
        message: question,
        output,
        ...(placeholder === undefined ? {} : { placeholder }),
        validate: (value) => (required && (value ?? '').trim() === '' ? 'This is needed' : undefined)
      })
      return answered(answer, isCancel) ?? ''
    },
    async secret(question) {
      const { password, isCancel } = await load()
      return answered(await password({ message: question, output }), isCancel) ?? ''
    },
    async confirm(question) {
      const { confirm, isCancel } = await load()
      return answered(await confirm({ message: question, output, initialValue: false }), isCancel)
    },
    async choose(question, options) {
      const { select, isCancel } = await load()
      const answer = await select<string>({ message: question, output, options: [...options] })
      return answered(answer, isCancel) as (typeof options)[number]['value']
    },
    async tell(title, text) {
      const { note } = await load()
      note(text, title, { output })
    }
  }
}

function answered<T>(answer: T, isCancel: (value: unknown) => value is symbol): Exclude<T, symbol> {
  if (isCancel(answer)) throw new CliError('cancelled', 'nothing was done')
  return answer as Exclude<T, symbol>
}
