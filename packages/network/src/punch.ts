/**
 * Holes in routers, by TCP: two nodes behind routers that give a socket one outer address, whomever it speaks to, open a
 * connection to each other's outer address at the same moment, and both routers take the other's first packet for an
 * answer. libp2p's DCUtR says when; three things are missing for it to work (docs/decisions/0302):
 *
 * - every dial from a port of its own has an outer address of its own, so that what a peer observed of one is nothing to
 *   dial: here all dials leave from one port, on which nobody listens;
 * - addresses that were observed of dials are thrown away: here the one that peers agree on is offered to DCUtR;
 * - which of the two is to answer gets lost on the way to the transport, and its multiplexer never learns it: here it is
 *   remembered.
 *
 * A peer that lies about an address makes an attempt fail, and nothing else.
 */
import type { Connection, IdentifyResult, Libp2p, Transport, Upgrader } from '@libp2p/interface'
import { createServer } from 'node:net'
import { dcutr } from '@libp2p/dcutr'
import { tcp } from '@libp2p/tcp'
import { getNetConfig, isPrivate } from '@libp2p/utils'
import { CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'
import { isRelayed } from './guard/address.ts'
import { observersMax } from './limits.ts'

/** TCP whose dials leave from one port, and DCUtR that knows where that port is seen from outside. */
export interface Puncher {
  readonly tcp: ReturnType<typeof tcp>
  readonly dcutr: ReturnType<typeof dcutr>
  /** Listens to what peers observe of the host's dials. */
  attach(host: Pick<Libp2p, 'addEventListener'>): void
  /** Where peers see the dials of this host come from; undefined when they have not said, or do not agree. */
  outer(): Multiaddr | undefined
}

/** Finds a port for dialling, and makes what a host needs of it. */
export async function createPuncher(): Promise<Puncher> {
  const localPort = await freePort()
  /** Addresses to be dialled as the one who answers. */
  const answering = new Set<string>()
  const dialled = new WeakSet<Connection>()
  const observed = new Map<string, Multiaddr>()

  const outer = (): Multiaddr | undefined => {
    const [first, ...others] = observed.values()
    return others.every((other) => first?.equals(other)) ? first : undefined
  }
  const observe = ({ connection, observedAddr }: IdentifyResult): void => {
    if (observedAddr === undefined || !dialled.has(connection)) return
    const address = withoutPeer(observedAddr)
    if (isRelayed(address) || isPrivate(address)) return
    // A router that gives another port to each destination shows when two peers have been asked.
    observed.delete(connection.remotePeer.toString())
    observed.set(connection.remotePeer.toString(), address)
    const [oldest] = observed.keys()
    if (observed.size > observersMax && oldest !== undefined) observed.delete(oldest)
  }

  return {
    tcp: (components) => {
      const [plain, fromPort] = [tcp()(components), tcp({ dialOpts: { localPort } as object })(components)]
      const dial = plain.dial.bind(plain)
      const punch: Transport['dial'] = async (address, options) => {
        const upgrader = answering.has(placeOf(address)) ? answererOf(options.upgrader) : options.upgrader
        const connection = await fromPort.dial(address, { ...options, upgrader } as never)
        dialled.add(connection)
        return connection
      }
      return Object.assign(plain, {
        dial: async (...[address, options]: Parameters<Transport['dial']>) => {
          if (isPrivate(address)) return dial(address, options)
          try {
            return await punch(address, options)
          } catch (error) {
            // The port is taken, or a connection from it to there has just ended: any other will do.
            if (!isPortTaken(error)) throw error
            return dial(address, options)
          }
        }
      })
    },
    dcutr: (components) => {
      const { addressManager, connectionManager } = components
      const getAddresses = (): Multiaddr[] => {
        const seen = outer()
        return [...addressManager.getAddresses(), ...(seen === undefined ? [] : [seen])]
      }
      const openConnection: typeof connectionManager.openConnection = async (target, options) => {
        const places = isAnswering(options) && Array.isArray(target) ? target.map(placeOf) : []
        for (const place of places) answering.add(place)
        try {
          return await connectionManager.openConnection(target, options)
        } finally {
          for (const place of places) answering.delete(place)
        }
      }
      const seenThrough = {
        addressManager: overlay(addressManager, { getAddresses }),
        connectionManager: overlay(connectionManager, { openConnection })
      }
      return dcutr()(overlay(components, seenThrough))
    },
    attach: (host) => {
      host.addEventListener('peer:identify', ({ detail }) => observe(detail))
      // What it saw may have been of another network: a laptop moves.
      host.addEventListener('peer:disconnect', ({ detail }) => observed.delete(detail.toString()))
    },
    outer
  }
}

/** Both have dialled; one of them has to be the one who was. The multiplexer looks at the socket for which. */
function answererOf(upgrader: Upgrader): Upgrader {
  return overlay(upgrader, {
    upgradeOutbound: (connection, options) => {
      const answered = Object.assign(connection, { direction: 'inbound' as const })
      return upgrader.upgradeOutbound(answered, { ...options, initiator: false })
    }
  })
}

/** An object as it is, but for some of its members. libp2p's components are a proxy, which cannot be spread. */
function overlay<T extends object>(object: T, members: Partial<T>): T {
  return new Proxy(object, {
    get: (target, name) => {
      const own = (members as Record<PropertyKey, unknown>)[name]
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
}

function isAnswering(options: unknown): boolean {
  return (options as { initiator?: boolean } | undefined)?.initiator === false
}

function isPortTaken(error: unknown): boolean {
  return /EADDRINUSE|EADDRNOTAVAIL/.test((error as { code?: string }).code ?? (error as Error).message)
}

/** Host and port: what is left of an address when peers are not looked at. */
function placeOf(address: Multiaddr): string {
  const { host, port } = getNetConfig(address)
  return `${host} ${port}`
}

function withoutPeer(address: Multiaddr): Multiaddr {
  return address.decapsulateCode(CODE_P2P)
}

/** One that nobody has at the moment. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
