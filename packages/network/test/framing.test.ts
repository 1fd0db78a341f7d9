import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Framing, framingOf, negotiation } from '../src/guard/framing.ts'
import { cut } from './support/pieces.ts'

describe('framing', () => {
  it('lets through messages however they are cut into pieces, and notices the end of what is framed', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 1, maxLength: 8 })
    const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(messages, pieces, (list, sizes) => {
        const framing = new Framing({ bytesMax: 400, messages: list.length })
        const bytes = joined(list.map(framed))
        const parts = cut(bytes, sizes)
        expect(parts.map((part) => framing.take(part))).not.toContain(false)
        expect(framing.isOver).toBe(true)
        // What follows is not looked at.
        expect(framing.take(new Uint8Array(64).fill(0xff))).toBe(true)
      })
    )
  })

  it('refuses a length too large, and one that does not end, at its byte', () => {
    expect(new Framing({ bytesMax: 400 }).take(framed(new Uint8Array(400)))).toBe(true)
    expect(new Framing({ bytesMax: 400 }).take(framed(new Uint8Array(401)))).toBe(false)
    const endless = new Framing({ bytesMax: Infinity })
    const taken = Array.from({ length: 9 }, () => endless.take(new Uint8Array([0xff])))
    expect(taken.indexOf(false)).toBe(7)
  })

  it('refuses what comes after as many messages as anybody needs to agree', () => {
    const stubborn = negotiation((protocol) => protocol === '/noise')
    const proposals = Array.from({ length: 17 }, () => stubborn.take(framed(text('/tls/1.0.0\n'))))
    expect(proposals.indexOf(false)).toBe(16)
  })

  it('ends with the agreement: what follows in the same piece may be anything', () => {
    const framing = negotiation((protocol) => protocol === '/noise')
    const parts = [framed(text('/multistream/1.0.0\n')), framed(text('/noise\n')), new Uint8Array(100).fill(0xff)]
    expect(framing.take(joined(parts))).toBe(true)
    expect(framing.isOver).toBe(true)
  })

  it('is followed on every protocol whose reader reads lengths, and on no other', () => {
    const followed = ['/souk/sync/1', '/souk/kad/1.0.0', '/ipfs/id/push/1.0.0', '/libp2p/circuit/relay/0.2.0/stop']
    expect(followed.map(framingOf)).not.toContain(undefined)
    expect(['/ipfs/ping/1.0.0', '/souk/time/1', '/souk/block/1'].map(framingOf)).toEqual([
      undefined,
      undefined,
      undefined
    ])
  })
})

function framed(message: Uint8Array): Uint8Array {
  const length: number[] = []
  for (let rest = message.length; rest > 0 || length.length === 0; rest >>= 7) {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
  }
  return joined([new Uint8Array(length), message])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

function text(words: string): Uint8Array {
  return new TextEncoder().encode(words)
}
