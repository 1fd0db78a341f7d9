import { execFile } from 'node:child_process'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createPhrase, identityFromPhrase } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { souk, soukOnTerminal, temporaryFolder } from './processes.ts'

const run = promisify(execFile)

describe('without a node', () => {
  test('help and version go to stdout and are no failure', async () => {
    const home = await temporaryFolder()
    const [help, version, noun, verb] = await Promise.all([
      souk(home, ['--help']),
      souk(home, ['--version']),
      souk(home, ['listing', '--help']),
      souk(home, ['help', 'listing', 'create'])
    ])
    expect(help).toMatchObject({ status: 0, stderr: '' })
    expect(help.stdout).toContain('listing')
    const { version: published } = JSON.parse(await readFile(join(import.meta.dirname, '../package.json'), 'utf8')) as {
      version: string
    }
    expect(version).toEqual({ status: 0, stdout: `${published}\n`, stderr: '' })
    expect(noun).toMatchObject({ status: 0, stderr: '' })
    expect(noun.stdout).toMatch(/create.*import/s)
    expect(verb.stdout).toContain('--photo')
  })

  test.each<[status: number, args: string[], stderr: string]>([
    [2, ['lisitng'], 'usage: unknown command'],
    [2, ['listing'], 'Usage: souk listing'],
    [2, ['status', '--nope'], 'usage: unknown option'],
    [2, ['order', 'show'], 'usage: missing required argument'],
    [2, ['feedback', 'give', 'abcdef01'], 'usage: required option'],
    [2, ['status', '--timeout', 'soon'], 'usage: "soon"'],
    [2, ['category', 'list', '--fields', 'nmae'], 'unknown-field'],
    [2, ['completion', 'tcsh'], 'usage: '],
    [2, ['identity', 'phrase'], 'no-terminal'],
    [4, ['init'], 'no-passphrase'],
    [5, ['identity', 'show'], 'no-identity'],
    [7, ['status'], 'unreachable-node'],
    [7, ['order', 'wait', 'abcdef01'], 'unreachable-node'],
    [7, ['events'], 'unreachable-node']
  ])('exit %i: souk %j', async (status, args, stderr) => {
    const ran = await souk(await temporaryFolder(), args)
    expect(ran).toMatchObject({ status, stdout: '' })
    expect(ran.stderr).toContain(stderr)
  })

  test('an error is one JSON object with --json', async () => {
    const { stderr } = await souk(await temporaryFolder(), ['status', '--json'])
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'unreachable-node',
        message: expect.stringContaining('no node runs') as string,
        hint: expect.stringContaining('souk') as string
      }
    })
  })

  test('categories are known', async () => {
    const { stdout } = await souk(await temporaryFolder(), ['category', 'list', 'cameras', '--json'])
    expect(JSON.parse(stdout)).toContainEqual({ id: 'co-2', name: 'Cameras', parent: 'co' })
  })

  test('doctor says what is missing, and fails', async () => {
    const { status, stdout, stderr } = await souk(await temporaryFolder(), ['doctor', '--json'])
    expect(status).toBe(1)
    expect(stderr).toContain('not-well')
    const findings = JSON.parse(stdout) as { check: string; result: string }[]
    expect(findings.find(({ check }) => check === 'node')?.result).toBe('failed')
    expect(findings.find(({ check }) => check === 'identity')?.result).toBe('warning')
  })

  test('a reader that leaves early is no failure', async () => {
    const home = await temporaryFolder()
    const command = `"${process.execPath}" --conditions=@souk/source "${join(import.meta.dirname, '../src/bin.ts')}" category list | head -1; echo "\${PIPESTATUS[0]}"`
    const { stdout } = await run('bash', ['-c', command], { env: { ...process.env, SOUK_HOME: home } })
    expect(stdout.trim().split('\n').at(-1)).toBe('0')
  })
})

describe('souk init', () => {
  test('takes its passphrase from a file or a descriptor and never says the words', async () => {
    const home = join(await temporaryFolder(), 'home')
    const secret = join(await temporaryFolder(), 'passphrase')
    await writeFile(secret, 'correct horse\n')
    const made = await souk(home, ['init', '--name', 'Ada', '--passphrase-file', secret, '--json'])
    expect(made.status).toBe(0)
    const { did, backedUp, passphraseFile } = JSON.parse(made.stdout) as Record<string, unknown>
    expect({ backedUp, passphraseFile }).toEqual({ backedUp: false, passphraseFile: undefined })
    expect((await stat(join(home, 'keystore.json'))).mode & 0o777).toBe(0o600)

    const file = join(await temporaryFolder(), 'words')
    const shown = await souk(home, ['identity', 'phrase', '--file', file, '--passphrase-file', secret])
    expect(shown).toMatchObject({ status: 0, stdout: '' })
    const words = (await readFile(file, 'utf8')).trim()
    expect(identityFromPhrase(words).did).toBe(did)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(made.stdout + made.stderr).not.toContain(words)
    expect((await souk(home, ['identity', 'show', '--fields', 'did'])).stdout.trim()).toBe(did)
  })

  test('restores from words on standard input, once', async () => {
    const home = await temporaryFolder()
    const phrase = createPhrase()
    const init = ['init', '--phrase-file', '-', '--no-passphrase', '--json']
    const restored = await souk(home, init, phrase)
    expect(JSON.parse(restored.stdout)).toMatchObject({
      did: identityFromPhrase(phrase).did,
      restored: true,
      backedUp: true,
      passphraseFile: join(home, 'passphrase')
    })
    expect(restored.stderr).toContain('A passphrase was generated')
    expect((await stat(join(home, 'passphrase'))).mode & 0o777).toBe(0o600)
    const again = await souk(home, init, phrase)
    expect(again).toMatchObject({ status: 6, stdout: '' })
  })

  test.each([
    [2, 'abandon '.repeat(12), 'correct horse', 'bad-phrase'],
    [2, createPhrase(), 'short', 'weak-passphrase']
  ])('exit %i for %s with passphrase %s: %s', async (status, phrase, passphrase, code) => {
    const secret = join(await temporaryFolder(), 'passphrase')
    await writeFile(secret, passphrase)
    const ran = await souk(await temporaryFolder(), ['init', '--phrase-file', '-', '--passphrase-file', secret], phrase)
    expect(ran.status).toBe(status)
    expect(ran.stderr).toContain(code)
  })

  test('a wrong passphrase does not open the keystore', async () => {
    const home = await temporaryFolder()
    const secret = join(await temporaryFolder(), 'passphrase')
    await writeFile(secret, 'correct horse')
    await souk(home, ['init', '--passphrase-file', secret])
    await writeFile(secret, 'wrong horse')
    const started = await souk(home, ['start', '--passphrase-file', secret])
    expect(started).toMatchObject({ status: 4, stdout: '' })
    expect(started.stderr).toContain('wrong-passphrase')
  })

  test('a folder of other things that others may read is refused', async () => {
    const home = await temporaryFolder()
    await writeFile(join(home, 'letter.txt'), 'x')
    await chmod(home, 0o755)
    const ran = await souk(home, ['init', '--no-passphrase'])
    expect(ran.status).toBe(1)
    expect(ran.stderr).toContain('bad-home')
  })
})

describe('on a terminal', () => {
  test('souk init asks, shows the words, and asks three of them back', async () => {
    const home = await temporaryFolder()
    const wordOf = (number: number) => (screen: string) =>
      `${new RegExp(`\\b${number}  ([a-z]+)`).exec(screen)?.[1] ?? '?'}\r`
    const answerWord = (screen: string): string =>
      wordOf(Number(/Word (\d+)(?![\s\S]*Word \d+)/.exec(screen)?.[1]))(screen)
    const { status, screen } = await soukOnTerminal(
      home,
      ['init'],
      [
        ['Your name', () => 'Ada\r'],
        ['A passphrase', () => 'correct horse\r'],
        ['The same passphrase', () => 'correct horse\r'],
        ['Have you written them down', () => '\r'],
        ['◆  Word ', answerWord],
        ['◆  Word ', answerWord],
        ['◆  Word ', answerWord]
      ]
    )
    expect(screen).toContain('did:key:z6Mk')
    expect(screen).not.toContain('correct horse')
    expect(status).toBe(0)
    const identity = JSON.parse(await readFile(join(home, 'identity.json'), 'utf8')) as Record<string, unknown>
    expect(identity).toMatchObject({ pendingName: 'Ada', backedUpAtMs: expect.any(Number) as number })
  })

  test('Ctrl-C at a question leaves nothing behind', async () => {
    const home = await temporaryFolder()
    const { status } = await soukOnTerminal(home, ['init'], [['Your name', () => '\u0003']])
    expect(status).toBe(130)
    expect((await souk(home, ['identity', 'show'])).status).toBe(5)
  })

  test('a list is a table with a heading, and plain where NO_COLOR says so', async () => {
    const home = await temporaryFolder()
    const coloured = await soukOnTerminal(home, ['category', 'list', 'optics'], [], { FORCE_COLOR: '1' })
    const plain = await soukOnTerminal(home, ['category', 'list', 'optics'], [], { NO_COLOR: '1' })
    expect(coloured.screen.startsWith('\u001b[1mID')).toBe(true)
    expect(plain.screen).toMatch(/^ID +NAME/)
    expect(plain.screen).not.toContain('\u001b')
  })
})

describe('souk completion', () => {
  test('bash completes nouns, verbs and options', async () => {
    const { stdout } = await souk(await temporaryFolder(), ['completion', 'bash'])
    const complete = async (...words: string[]): Promise<string[]> => {
      const line = words.map((word) => `'${word}'`).join(' ')
      const script = `${stdout}\nCOMP_WORDS=(souk ${line}); COMP_CWORD=${words.length}; _souk; printf '%s\\n' "\${COMPREPLY[@]}"`
      return (await run('bash', ['-c', script])).stdout.trim().split('\n')
    }
    expect(await complete('li')).toEqual(['listing'])
    expect((await complete('order', '')).includes('handover')).toBe(true)
    expect(await complete('listing', 'cr')).toEqual(['create'])
    expect(await complete('listing', 'create', '--pho')).toEqual(['--photo'])
    expect(await complete('--json', 'order', 'pay')).toEqual(['payment-received'])
  })

  test.each(['zsh', 'fish'])('%s gets every verb', async (shell) => {
    const { stdout, status } = await souk(await temporaryFolder(), ['completion', shell])
    expect(status).toBe(0)
    for (const word of ['listing', 'payment-received', 'phrase', 'passphrase-fd']) expect(stdout).toContain(word)
  })
})
