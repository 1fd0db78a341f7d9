import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { ask, makeDirectory, openNode, send, type Served, serve } from './support.ts'

let served: Served

beforeAll(async () => {
  const parent = await makeDirectory()
  const directory = join(parent, 'web')
  await mkdir(join(directory, 'assets'), { recursive: true })
  await mkdir(join(parent, 'web-secret'))
  await writeFile(join(directory, 'index.html'), '<!doctype html><title>Souk</title>')
  await writeFile(join(directory, 'assets/app.js'), 'start()')
  await writeFile(join(directory, 'key.pem'), 'secret')
  await writeFile(join(parent, 'secret.json'), '"secret"')
  await writeFile(join(parent, 'web-secret/secret.json'), '"secret"')
  await symlink(join(parent, 'secret.json'), join(directory, 'linked.json'))
  served = await serve(await openNode(), { staticDirectory: `${directory}/` })
})

test('the interface is served to who has no token yet, under the policy', async () => {
  const script = await ask(served, { path: '/assets/app.js' })
  expect([script.status, script.text]).toEqual([200, 'start()'])
  expect(script.headers).toMatchObject({
    'content-type': 'text/javascript; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-security-policy': expect.stringContaining("script-src 'self'")
  })
})

test.for(['/', '/index.html', '/search', '/listing/hg.5f0c', '/a/b/c', '/index.html%00'])(
  '%s is a page of it',
  async (path) => {
    const page = await ask(served, { path })
    expect([page.status, page.text]).toEqual([200, '<!doctype html><title>Souk</title>'])
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
  }
)

test.for([
  '/../secret.json',
  '/..%2fsecret.json',
  '/%2e%2e/secret.json',
  '/assets/..%2f..%2fsecret.json',
  '/..%2fweb-secret%2fsecret.json',
  '/..%5csecret.json',
  '/%252e%252e/secret.json',
  '//secret.json',
  '/linked.json',
  '/secret.json%00.js',
  '/%zz.js',
  '/assets/none.js',
  '/assets/app.js/x.js'
])('%s gives nothing of what is outside', async (path) => {
  const answer = await ask(served, { path })
  expect(answer.text).not.toContain('secret"')
  expect(answer.text).not.toContain('<!doctype')
  expect([400, 404]).toContain(answer.status)
})

test('a file of a kind that no page needs is a page like any other', async () => {
  expect((await ask(served, { path: '/key.pem' })).text).toContain('<title>')
})

test('the interface hides no route, and opens none', async () => {
  expect((await ask(served, { path: '/v1/status' })).status).toBe(401)
  expect((await ask(served, { path: '/v1/nothing', token: served.token })).status).toBe(404)
  expect((await send(served, '/search', {}, { token: served.token })).status).toBe(404)
  expect((await ask(served, { path: '/', headers: { host: 'evil.example' } })).status).toBe(403)
  expect((await ask(served, { path: '/', headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(403)
})
