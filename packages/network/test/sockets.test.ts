import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Listener } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { groupsOfIp } from '../src/guard/address.ts'
import { Doorway } from '../src/guard/doorway.ts'
import { Entrance } from '../src/guard/entrance.ts'
import { handshakeLimits } from '../src/guard/limits.ts'
import { watchSockets } from '../src/guard/sockets.ts'

test('who is turned away is closed before Node has made a socket of it; others have their turn', async () => {
  const taken: Socket[] = []
  const server = createServer((socket) => void taken.push(socket))
  const init = { now: () => performance.now(), limitLoopback: true }
  const doorway = new Doorway(init)
  const threshold = {
    doorway,
    entrance: new Entrance({ ...init, entrance: { burst: 10 } }),
    handshakes: handshakeLimits
  }
  let made = 0
  const count = (): number => made++
  subscribe('net.server.socket', count)
  try {
    watchSockets({ server } as unknown as Listener, threshold)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const come = (): Socket =>
      connect(port, '127.0.0.1')
        .on('error', () => undefined)
        .resume()

    const first = come()
    await once(server, 'connection')
    expect(taken).toHaveLength(1)

    for (let cut = 0; cut < 3; cut++) doorway.blame(multiaddr('/ip4/127.0.0.1/tcp/1'))
    const turnedAway = come()
    await once(turnedAway, 'close')
    expect([taken.length, made]).toEqual([1, 1])
    first.destroy()
  } finally {
    unsubscribe('net.server.socket', count)
    for (const socket of taken) socket.destroy()
    server.close()
  }
})

test.each([
  ['192.0.2.7', '192.0.2.7', '192.0.2'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2'],
  ['2001:db8:1:2::7', '2001:db8:1:2:0:0:0:7', '2001:db8:1'],
  ['fe80::7%eth0', 'fe80:0:0:0:0:0:0:7', 'fe80:0:0']
])('%s is what a socket has of host and block', (ip, host, block) => {
  expect(groupsOfIp(ip)).toEqual({ host, block })
})
