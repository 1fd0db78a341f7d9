import { bytesToHex } from '@noble/hashes/utils.js'
import { encodeTerms, type Terms, termsHash } from '../../src/index.ts'
import { type ChoiceName, choices, encode, termsOf } from '../world.ts'

export interface TermsVectors {
  readonly valid: readonly { readonly name: string; readonly bytes: string; readonly hash: string }[]
  readonly invalid: readonly { readonly name: string; readonly bytes: string; readonly code: 'bad-terms' }[]
}

const bent: { readonly [name: string]: (terms: Terms) => object } = {
  'an unknown field': (terms) => ({ ...terms, gift: true }),
  'a missing salt': (terms) => Object.fromEntries(Object.entries(terms).filter(([name]) => name !== 'salt')),
  'a short salt': (terms) => ({ ...terms, salt: new Uint8Array(31) }),
  'a version that nobody knows': (terms) => ({ ...terms, v: 2 }),
  'one who sells to himself': (terms) => ({ ...terms, seller: terms.buyer }),
  'nothing bought': (terms) => ({ ...terms, quantity: 0 }),
  'legs that do not add up': (terms) => ({ ...terms, total: { ...terms.total, minor: '1' } }),
  'an amount that is no number': (terms) => ({ ...terms, price: { ...terms.price, minor: '1e3' } }),
  'a listing that is no link': (terms) => ({ ...terms, listing: 'bafy' }),
  'a delivery of another trade': (terms) => ({ ...terms, trade: 'pick-up' })
}

export function termsVectors(): TermsVectors {
  const valid = (Object.keys(choices) as ChoiceName[]).map((name) => {
    const bytes = encodeTerms(termsOf(name))
    return { name, bytes: bytesToHex(bytes), hash: bytesToHex(termsHash(bytes)) }
  })
  const invalid = Object.entries(bent).map(([name, bend]) => {
    return { name, bytes: bytesToHex(encode(bend(termsOf('direct')))), code: 'bad-terms' } as const
  })
  return { valid, invalid }
}
