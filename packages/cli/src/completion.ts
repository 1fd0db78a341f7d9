/** Completion scripts: a table of what may follow what, and a few lines of the shell's own to look it up. */
import type { Command } from 'commander'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** What may follow the words typed so far; `''` are the nouns. */
interface Choice {
  readonly path: string
  readonly words: readonly { readonly word: string; readonly summary: string }[]
}

/** @param program - The whole tree, every noun with its verbs. */
export function completionFor(shell: Shell, program: Command): string {
  const choices = choicesOf(program)
  switch (shell) {
    case 'bash':
      return bash(choices)
    case 'zsh':
      return zsh(choices)
    case 'fish':
      return fish(choices)
  }
}

function choicesOf(program: Command): Choice[] {
  const everywhere = optionsOf(program)
  const walk = (command: Command, path: readonly string[]): Choice[] => {
    const words = command.commands.map((child) => ({ word: child.name(), summary: child.description() }))
    const options = command === program ? [] : optionsOf(command)
    const here = { path: path.join(' '), words: [...words, ...options, ...everywhere] }
    return [here, ...command.commands.flatMap((child) => walk(child, [...path, child.name()]))]
  }
  return walk(program, [])
}

function optionsOf(command: Command): Choice['words'] {
  return command.options.flatMap(({ long, description }) =>
    typeof long === 'string' ? [{ word: long, summary: description }] : []
  )
}

/** Walks over the words typed so far, as long as each leads somewhere. */
const bashHead = `# bash completion of souk
_souk_words() {
  case "$1" in
`
const bashTail = `  esac
}
_souk() {
  local path='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == -* ]] && continue
    if [[ -n $(_souk_words "\${path:+$path }$word") ]]; then path="\${path:+$path }$word"; fi
  done
  if [[ \${COMP_WORDS[COMP_CWORD]} == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_souk_words "$path")" -- "\${COMP_WORDS[COMP_CWORD]}")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(_souk_words "$path" | tr ' ' '\\n' | grep -v '^-')" -- "\${COMP_WORDS[COMP_CWORD]}")
    ((\${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
  fi
}
complete -F _souk souk
`

function bash(choices: readonly Choice[]): string {
  const cases = choices.map(
    ({ path, words }) => `    '${path}') echo '${words.map(({ word }) => word).join(' ')}' ;;\n`
  )
  return bashHead + cases.join('') + bashTail
}

const zshTail = `  esac
}
_souk() {
  local path='' word
  local -a reply
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* ]] && continue
    _souk_words "\${path:+$path }$word"
    if (( \${#reply} )); then path="\${path:+$path }$word"; fi
  done
  _souk_words "$path"
  _describe 'souk' reply || _files
}
compdef _souk souk
`

function zsh(choices: readonly Choice[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''").replaceAll(':', '\\:')}'`
  const entry = ({ word, summary }: Choice['words'][number]): string =>
    `'${word.replaceAll(':', '\\:')}:${quote(summary).slice(1, -1)}'`
  const cases = choices.map(({ path, words }) => `    '${path}') reply=(${words.map(entry).join(' ')}) ;;\n`)
  return `#compdef souk\n_souk_words() {\n  reply=()\n  case "$1" in\n${cases.join('')}${zshTail}`
}

function fish(choices: readonly Choice[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = choices.flatMap(({ path, words }) =>
    words.map(({ word, summary }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${quote(word)}`
      return `complete -c souk -n ${quote(`__souk_at ${path}`.trim())} ${what} -d ${quote(summary)}`
    })
  )
  return `${fishHead}${lines.join('\n')}\n`
}

const fishHead = `# fish completion of souk
function __souk_at
  set -l words
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; or set -a words $word
  end
  test (count $argv) -eq 0; and test (count $words) -eq 0; and return
  test (count $argv) -gt 0; and test (count $words) -ge (count $argv); and test "$words[1..(count $argv)]" = "$argv"
end
`
