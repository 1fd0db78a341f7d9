import { Argument, Command } from 'commander'
import { completionFor, type Shell, shells } from '../completion.ts'
import type { Begin } from '../invocation.ts'

export function addCompletion(command: Command, begin: Begin): void {
  command
    .addArgument(new Argument('<shell>', 'for which').choices(shells))
    .addHelpText(
      'after',
      `
Put it where your shell looks:
  souk completion bash > ~/.local/share/bash-completion/completions/souk
  souk completion zsh  > "\${fpath[1]}/_souk"
  souk completion fish > ~/.config/fish/completions/souk.fish`
    )
    .action(
      begin(async (run, shell: Shell) => {
        const { createProgram, fillAll } = await import('../program.ts')
        const program = createProgram(run.host)
        await fillAll(program, run.host)
        run.host.stdout.write(completionFor(shell, program))
      })
    )
}
