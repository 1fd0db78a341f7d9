import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { beforeAll, describe, expect, test } from 'vitest'
import { createApiServer, createMemoryTokenStore, createTokens } from '../src/index.ts'
import { jsonBytesMax, uploadBytesMax } from '../src/limits.ts'
import { type Answer, ask, knock, lamp, later, openNode, send, type Served, serve } from './support.ts'

let served: Served

beforeAll(async () => {
  served = await serve(await openNode())
})

function refusalOf({ status, json }: Answer): [number, string] {
  return [status, json.error.code]
}

describe('where it listens', () => {
  test.for(['0.0.0.0', '::', '192.168.1.10', 'souk.example', '127.0.0.2', 'toString', ''])(
    'a bind to "%s" is refused',
    async (host) => {
      const tokens = createTokens({ store: createMemoryTokenStore() }, { now: Date.now })
      const starting = createApiServer({ node: served.node, tokens }, { host })
      await expect(starting).rejects.toMatchObject({ code: 'remote-bind-refused' })
    }
  )

  const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
  test.runIf(hasIpv6)('on IPv6 it is called by its address in brackets', async () => {
    const six = await serve(served.node, { host: '::1' })
    expect(six.server.url).toBe(`http://[::1]:${six.port}`)
    const headers = { authorization: `Bearer ${six.token}` }
    expect((await fetch(`${six.server.url}/v1/status`, { headers })).status).toBe(200)
    expect((await fetch(`http://[::1]:${six.port}/healthz`, { headers: { origin: six.server.url } })).status).toBe(200)
  })

  test('a port that is taken is said, and leaves nothing open', async () => {
    const tokens = createTokens({ store: createMemoryTokenStore() }, { now: Date.now })
    const starting = createApiServer({ node: served.node, tokens }, { port: served.port })
    await expect(starting).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})

describe('DNS rebinding', () => {
  const foreign = (port: number): string[] => [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1',
    `127.0.0.1:${port + 1}`,
    `127.0.0.1:${port}.evil.example`,
    `localhost.evil.example:${port}`,
    `0.0.0.0:${port}`,
    `[::1]:${port}`,
    'souk.socket',
    `localhost:${port}, evil.example`
  ]

  test.for(['/healthz', '/v1/status', '/v1/nothing', '/', '/v1/openapi.json', '/v1/events'])(
    '%s answers to no other name, and looks nothing up',
    async (path) => {
      const before = served.lookups()
      for (const host of foreign(served.port)) {
        const answer = await ask(served, { path, token: served.token, headers: { host } })
        expect([host, answer.status]).toEqual([host, answer.json.error.code === 'bad-request' ? 400 : 403])
        expect(['bad-host', 'bad-request']).toContain(answer.json.error.code)
      }
      expect(served.lookups()).toBe(before)
    }
  )

  test('nor does a code exchange', async () => {
    const code = new URL(served.server.createUrl()).hash.slice('#code='.length)
    expect(refusalOf(await send(served, '/v1/session', { code }, { headers: { host: 'evil.example' } }))).toEqual([
      403,
      'bad-host'
    ])
    expect((await send(served, '/v1/session', { code })).status).toBe(200)
  })

  test('nor does a WebSocket', async () => {
    const before = served.lookups()
    for (const host of foreign(served.port)) {
      const refused = await knock(served, { protocols: ['souk', `token.${served.token}`], headers: { host } })
      expect(refused).toEqual({ status: 403, code: 'bad-host' })
    }
    expect(served.lookups()).toBe(before)
  })

  test('its own names do, in either case', async () => {
    for (const host of [`127.0.0.1:${served.port}`, `localhost:${served.port}`, `LOCALHOST:${served.port}`]) {
      expect((await ask(served, { path: '/healthz', headers: { host } })).status).toBe(200)
    }
  })

  test('an address in the request line does not go past the Host header', async () => {
    const path = 'http://evil.example/v1/status'
    expect(refusalOf(await ask(served, { path, token: served.token }))).toEqual([403, 'bad-host'])
  })
})

describe('pages of other origins', () => {
  const pages = (port: number): Record<string, string>[] => [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${port + 1}` },
    { origin: `https://127.0.0.1:${port}` },
    // Another program may answer IPv6 on the same port, and so own the page at localhost.
    { origin: `http://localhost:${port}` },
    { origin: `http://127.0.0.1:${port}.evil.example` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'cross-site' }
  ]

  test('are refused with a right token, before it is looked up', async () => {
    const before = served.lookups()
    for (const headers of pages(served.port)) {
      expect(refusalOf(await ask(served, { token: served.token, headers }))).toEqual([403, 'bad-origin'])
      expect(refusalOf(await ask(served, { path: '/healthz', headers }))).toEqual([403, 'bad-origin'])
      expect(refusalOf(await ask(served, { method: 'OPTIONS', headers }))).toEqual([403, 'bad-origin'])
    }
    expect(served.lookups()).toBe(before)
  })

  test('are refused a WebSocket with a right token', async () => {
    for (const headers of pages(served.port)) {
      const refused = await knock(served, { protocols: ['souk', `token.${served.token}`], headers })
      expect(refused).toEqual({ status: 403, code: 'bad-origin' })
    }
  })

  test('get no answer that a browser would let them read', async () => {
    const { headers } = await ask(served, { token: served.token })
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
  })

  test('our own page is served', async () => {
    const headers = { origin: served.server.url, 'sec-fetch-site': 'same-origin' }
    expect((await ask(served, { token: served.token, headers })).status).toBe(200)
  })
})

describe('tokens', () => {
  const forged = (token: string): Record<string, string>[] => [
    {},
    { authorization: 'Bearer ' },
    { authorization: `Bearer ${'A'.repeat(43)}` },
    { authorization: `Basic ${btoa(`souk:${token}`)}` },
    { authorization: token },
    { authorization: `Bearer ${token}x` },
    { cookie: `token=${token}; authorization=Bearer ${token}` },
    { 'x-authorization': `Bearer ${token}` }
  ]

  test('nothing else opens anything, not even to learn what is there', { timeout: 120_000 }, async () => {
    const quiet = await serve(served.node, { now: tick(120_000) })
    for (const headers of forged(quiet.token)) {
      for (const path of ['/v1/status', '/v1/nothing', '/nothing', `/v1/status?token=${quiet.token}`]) {
        expect(refusalOf(await ask(quiet, { path, headers }))).toEqual([401, 'unauthorised'])
      }
    }
  })

  test('one that was revoked is worth nothing', async () => {
    const token = await served.tokenWith('read')
    const { id } = await served.tokens.check(token)
    expect((await ask(served, { token })).status).toBe(200)
    await served.tokens.revoke(id)
    expect(refusalOf(await ask(served, { token }))).toEqual([401, 'unauthorised'])
  })

  test('one that expired is worth nothing', async () => {
    let now = 1_000_000
    const timed = await serve(served.node, { now: () => now })
    const token = await timed.tokens.create({ name: 'short', scopes: ['read'], expiresAtMs: now + 1000 })
    now += 999
    expect((await ask(timed, { token })).status).toBe(200)
    now += 1
    expect(refusalOf(await ask(timed, { token }))).toEqual([401, 'unauthorised'])
  })

  test('no answer sets a cookie', async () => {
    const code = new URL(served.server.createUrl()).hash.slice('#code='.length)
    const answers = [await ask(served, { token: served.token }), await send(served, '/v1/session', { code })]
    for (const { headers } of answers) expect(headers['set-cookie']).toBeUndefined()
  })

  test('a token does what it may, and no more', async () => {
    const order = 'a'.repeat(64)
    const attempts = [
      { token: await served.tokenWith(), method: 'GET', path: '/v1/status' },
      { token: await served.tokenWith('listings:write'), method: 'GET', path: '/v1/events' },
      { token: await served.tokenWith('read'), method: 'POST', path: '/v1/listings', body: lamp },
      { token: await served.tokenWith('read', 'orders:write'), method: 'DELETE', path: '/v1/listings/x' },
      {
        token: await served.tokenWith('read', 'wallet:spend'),
        method: 'POST',
        path: '/v1/orders',
        body: { listing: 'x' }
      },
      {
        token: await served.tokenWith('read', 'orders:write'),
        method: 'POST',
        path: '/v1/orders',
        body: { listing: 'x' }
      },
      {
        token: await served.tokenWith('orders:write'),
        method: 'POST',
        path: `/v1/orders/${order}/actions`,
        body: { action: 'confirm' }
      },
      {
        token: await served.tokenWith('orders:write'),
        method: 'POST',
        path: `/v1/orders/${order}/actions`,
        body: { action: 'refund' }
      },
      {
        token: await served.tokenWith('read', 'wallet:spend'),
        method: 'POST',
        path: '/v1/peers',
        body: { address: 'x' }
      }
    ]
    for (const { token, method, path, body } of attempts) {
      const headers = { 'content-type': 'application/json' }
      const answer = await ask(served, { method, path, token, headers, body: JSON.stringify(body ?? {}) })
      expect(refusalOf(answer)).toEqual([403, 'forbidden'])
    }
  })

  test('what moves no money needs no leave to spend', async () => {
    const token = await served.tokenWith('orders:write')
    const path = `/v1/orders/${'a'.repeat(64)}/actions`
    expect(refusalOf(await send(served, path, { action: 'accept' }, { token }))).toEqual([404, 'not-found'])
    const order = { listing: 'x', settlement: 'direct' }
    expect(refusalOf(await send(served, '/v1/orders', order, { token }))).toEqual([404, 'not-found'])
  })
})

describe('bodies', () => {
  test.for([
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain',
    'application/jsonx',
    ''
  ])('of type "%s" are no JSON', async (type) => {
    const answer = await send(served, '/v1/listings', lamp, { headers: { 'content-type': type } })
    expect(refusalOf(answer)).toEqual([415, 'unsupported-media-type'])
  })

  test.for(['text/html', 'multipart/form-data', 'application/json'])('of type "%s" are no picture', async (type) => {
    const headers = { 'content-type': type }
    const answer = await ask(served, { method: 'POST', path: '/v1/images', token: served.token, headers, body: 'x' })
    expect(refusalOf(answer)).toEqual([415, 'unsupported-media-type'])
  })

  const malformed: [string, string | Uint8Array][] = [
    ['nothing', ''],
    ['half', '{"title":'],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
    ['null', 'null'],
    ['an array', '[]'],
    ['an unknown field', JSON.stringify({ ...lamp, seller: 'me' })],
    ['a prototype', '{"title":"x","category":"hg","__proto__":{"price":{"minor":"1","currency":"EUR"}}}'],
    ['a price that is a number', JSON.stringify({ ...lamp, price: { minor: 1500, currency: 'EUR' } })],
    ['a negative quantity', JSON.stringify({ ...lamp, quantity: -1 })]
  ]
  test.for(malformed)('%s is refused by name', async ([, body]) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await ask(served, { method: 'POST', path: '/v1/listings', token: served.token, headers, body })
    expect(refusalOf(answer)).toEqual([400, 'bad-request'])
  })

  const bounds: [string, string, number][] = [
    ['/v1/listings', 'application/json', jsonBytesMax],
    ['/v1/images', 'application/octet-stream', uploadBytesMax],
    ['/v1/session', 'application/json', 4096]
  ]
  for (const chunked of [false, true]) {
    test.for(bounds)(`%s takes no byte too many, ${chunked ? 'un' : ''}announced`, async ([path, type, bytesMax]) => {
      const body = new Uint8Array(bytesMax + 1)
      const asked = { method: 'POST', path, token: served.token, headers: { 'content-type': type }, body, chunked }
      expect(refusalOf(await ask(served, asked))).toEqual([413, 'body-too-large'])
    })
  }

  test('a body need not say how long it is', async () => {
    const headers = { 'content-type': 'application/json; charset=utf-8' }
    const body = JSON.stringify({ ...lamp, title: 'Sent in pieces' })
    const asked = { method: 'POST', path: '/v1/listings', token: served.token, headers, body, chunked: true }
    expect((await ask(served, asked)).json).toMatchObject({ title: 'Sent in pieces' })
  })

  test('a scope is looked at before a body is read', async () => {
    const token = await served.tokenWith('read')
    const body = new Uint8Array(uploadBytesMax + 1)
    const headers = { 'content-type': 'application/octet-stream' }
    expect(refusalOf(await ask(served, { method: 'POST', path: '/v1/images', token, headers, body }))).toEqual([
      403,
      'forbidden'
    ])
  })

  test('one that trickles is cut off, and the server stays', async () => {
    const impatient = await serve(served.node, { requestTimeoutMs: 100 })
    const socket = connect(impatient.port, '127.0.0.1')
    later(async () => socket.destroy())
    socket.write(
      `POST /v1/listings HTTP/1.1\r\nhost: 127.0.0.1:${impatient.port}\r\nauthorization: Bearer ${impatient.token}\r\n` +
        'content-type: application/json\r\ncontent-length: 1000\r\n\r\n{'
    )
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect((await ask(impatient, { token: impatient.token })).status).toBe(200)
    expect(impatient.mistakes).toEqual([])
  })
})

describe('every answer', () => {
  const asked = { ok: '/healthz', refused: '/v1/status', unknown: '/nothing' }
  test.for(Object.entries(asked))('%s forbids what a page of peers could abuse', async ([, path]) => {
    for (const host of [`127.0.0.1:${served.port}`, 'evil.example', 'evil example']) {
      const { headers } = await ask(served, { path, headers: { host } })
      const policy = headers['content-security-policy']
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("require-trusted-types-for 'script'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store'
      })
    }
  })

  test('says what is there and what is not', async () => {
    const { token } = served
    expect(refusalOf(await ask(served, { token, path: '/v1/nothing' }))).toEqual([404, 'no-route'])
    const wrong = await ask(served, { token, method: 'PUT', path: '/v1/listings' })
    expect(refusalOf(wrong)).toEqual([405, 'method-not-allowed'])
    expect(wrong.headers.allow?.split(', ').toSorted()).toEqual(['GET', 'POST'])
    expect(refusalOf(await ask(served, { token, path: '/v1/session' }))).toEqual([405, 'method-not-allowed'])
    expect(refusalOf(await ask(served, { token, path: '/v1/status?x=1' }))).toEqual([400, 'bad-request'])
    expect(refusalOf(await ask(served, { token, path: '/v1/search?min=5' }))).toEqual([400, 'bad-request'])
    expect(refusalOf(await ask(served, { token, path: '/v1/search?lat=5' }))).toEqual([400, 'bad-request'])
    expect(refusalOf(await ask(served, { token, path: '/v1/search?limit=501' }))).toEqual([400, 'bad-request'])
    expect((await ask(served, { token, path: '/v1/search?text=&lat=&lon=' })).status).toBe(200)
    expect(refusalOf(await ask(served, { token, path: '/v1/profiles/did:key:nobody' }))).toEqual([400, 'bad-identity'])
  })

  test('says nothing of the inside', async () => {
    const status = async (): Promise<never> => {
      throw Object.assign(new Error('/home/ana/souk: secret'), { code: 'ENOENT', name: 'toString' })
    }
    const broken = await serve({ ...served.node, status })
    const answer = await ask(broken, { token: broken.token })
    expect(refusalOf(answer)).toEqual([500, 'internal'])
    expect(answer.text).not.toMatch(/ana|secret|ENOENT|at /)
    expect(broken.mistakes).toMatchObject([{ code: 'ENOENT' }])
  })
})

/** A clock that leaps at each look, so that no failure is the second within a minute. */
function tick(stepMs: number): () => number {
  let now = 1e12
  return () => (now += stepMs)
}
