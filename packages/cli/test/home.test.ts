import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { homeOf, makeHome, readDaemon, writePrivate } from '../src/home.ts'
import { temporaryFolder } from './processes.ts'

const linux = (env: NodeJS.ProcessEnv = {}) => ({ env, platform: 'linux' })
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

describe('where the home is', () => {
  test.each([
    ['/given', { SOUK_HOME: '/env', XDG_DATA_HOME: '/xdg' }, '/given'],
    [undefined, { SOUK_HOME: '/env', XDG_DATA_HOME: '/xdg' }, '/env'],
    [undefined, { SOUK_HOME: '', XDG_DATA_HOME: '/xdg' }, '/xdg/souk'],
    [undefined, {}, join(homedir(), '.local/share/souk')]
  ])('%s with %o is %s', (given, env, directory) => expect(homeOf(given, linux(env)).directory).toBe(directory))

  test('a path too long for a socket has none, and neither has Windows', () => {
    expect(homeOf('/h', linux()).socket).toBe('/h/run/api.sock')
    expect(homeOf(`/${'h'.repeat(100)}`, linux()).socket).toBeUndefined()
    expect(homeOf('/h', { env: {}, platform: 'win32' }).socket).toBeUndefined()
  })
})

describe('who may read it', () => {
  test('a new home is its owner’s', async () => {
    const home = homeOf(join(await temporaryFolder(), 'a', 'b'), linux())
    await makeHome(home)
    expect(await modeOf(home.directory)).toBe(0o700)
  })

  test('an empty folder, or one with a keystore, is closed', async () => {
    const home = homeOf(await temporaryFolder(), linux())
    await chmod(home.directory, 0o755)
    await makeHome(home)
    expect(await modeOf(home.directory)).toBe(0o700)
    await writeFile(home.keystore, '{}')
    await chmod(home.directory, 0o755)
    await makeHome(home)
    expect(await modeOf(home.directory)).toBe(0o700)
  })

  test('a folder of other things is left as it is', async () => {
    const home = homeOf(await temporaryFolder(), linux())
    await writeFile(join(home.directory, 'letter.txt'), 'x')
    await chmod(home.directory, 0o755)
    await expect(makeHome(home)).rejects.toMatchObject({ code: 'bad-home' })
    expect(await modeOf(home.directory)).toBe(0o755)
  })

  test('a private file is whole, alone and 0600, also over one that was open', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'secret')
    await writeFile(path, 'old', { mode: 0o644 })
    await writePrivate(path, 'new')
    expect(await readFile(path, 'utf8')).toBe('new')
    expect(await modeOf(path)).toBe(0o600)
    expect(await readdir(folder)).toEqual(['secret'])
  })
})

test.each(['', '{', '{"url": 3}', 'null', '[]'])('what a daemon left half written (%j) is no daemon', async (text) => {
  const home = homeOf(await temporaryFolder(), linux())
  await mkdir(home.directory, { recursive: true })
  await writeFile(home.api, text)
  expect(await readDaemon(home)).toBeUndefined()
})
