import { orderId } from '@souk/escrow'
import {
  encodeStatement,
  escrowTermsHash,
  type Identity,
  openRecord,
  sealRecord,
  signStatement,
  type SoukRecord,
  type Statement
} from '@souk/records'
import { hexToBytes } from '@noble/hashes/utils.js'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import type { Chain, FactRow } from '../src/chains.ts'
import { createEvidence } from '../src/evidence.ts'
import { makeIdentity } from './support.ts'

const contract = `0x${'c'.repeat(40)}` as const
const token = `0x${'7'.repeat(40)}`
const nowMs = Date.now()
const place = { tx: `0x${'1'.repeat(64)}`, blockTimeMs: nowMs - 5000, final: true }

/** All fields of an order on chain but the commitment. */
const fields = {
  buyer: `0x${'b'.repeat(40)}`,
  seller: `0x${'5'.repeat(40)}`,
  arbiter: `0x${'0'.repeat(40)}`,
  token,
  feeRecipient: `0x${'0'.repeat(40)}`,
  amount: '5000000000',
  buyerDeposit: '0',
  sellerDeposit: '0',
  acceptBy: 2_000_000_000,
  notBefore: 0,
  dispatchWindow: 86_400,
  releaseWindow: 86_400,
  depositWindow: 0,
  rulingWindow: 86_400,
  feeBps: 0,
  arbiterFeeBps: 0,
  defaultSellerBps: 5000
}
const terms = new Uint8Array(32).fill(3)

/** EIP-712 id of the order that these two would have on chain. */
function escrowIdOf(buyer: Identity, seller: Identity): string {
  const hash = escrowTermsHash({ buyer: buyer.signer.publicKey, seller: seller.signer.publicKey, terms })
  const numbers = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, String(value).startsWith('0x') ? value : BigInt(value)])
  )
  return orderId({ ...numbers, termsHash: `0x${Buffer.from(hash).toString('hex')}` } as never, { chainId: 1, contract })
}

/** A rating by the buyer of a trade that an escrow is said to have settled. */
function rate(
  buyer: Identity,
  seller: Identity,
  said: { escrowId: string; price?: string; order?: Record<string, unknown> }
): SoukRecord<'feedback'> {
  const statement: Statement = {
    v: 1,
    type: 'agreement',
    order: terms,
    terms,
    buyer: buyer.signer.publicKey,
    seller: seller.signer.publicKey,
    listing: CID.parse('bafyreictqztawxihsc4a7c7vgnery2rhfxjnk5o3h3yqjv2vxz2k6mc3vq'),
    price: { minor: said.price ?? fields.amount, currency: `eip155:1/erc20:${token}` },
    settlement: 'escrow',
    escrow: { chain: 'eip155:1', contract, id: hexToBytes(said.escrowId.slice(2)) },
    at: nowMs - 10_000
  }
  const bytes = encodeStatement(statement)
  const receipt = {
    statement: bytes,
    buyerSig: signStatement(bytes, buyer.signer),
    sellerSig: signStatement(bytes, seller.signer),
    settled: { tx: new Uint8Array(32), logIndex: 0, order: said.order ?? fields }
  }
  const times = { createdAtMs: nowMs, expiresAtMs: nowMs + 86_400_000 }
  const content = { subject: seller.signer.publicKey, role: 'buyer' as const, stars: 5, text: '', receipt }
  const key = Buffer.from(terms).toString('hex')
  const record = sealRecord({ kind: 'feedback', market: 'main', key, seq: 0, ...times, content }, buyer.signer)
  return openRecord(record.bytes, { nowMs }) as SoukRecord<'feedback'>
}

/** What a reader's own watcher has seen: one escrow, funded and released. */
function readerOf(escrowId: string) {
  const facts: FactRow[] = [
    { escrowId, kind: 'funded', logIndex: 0, ...place },
    { escrowId, kind: 'closed', status: 'released', logIndex: 1, ...place }
  ]
  const chain = {
    init: {
      chain: 'eip155:1',
      rpcUrls: [],
      contract,
      confirmations: 1,
      tokens: [{ address: token, symbol: 'USDC', decimals: 6, pegs: 'USD' }]
    },
    escrow: { orderId: (order: Parameters<typeof orderId>[0]) => orderId(order, { chainId: 1, contract }) },
    factsOf: async (id: string) => (id === escrowId ? facts : [])
  } as unknown as Chain
  return createEvidence({ chains: { all: [chain] } }, { rates: { USD: 0.9 } })
}

const [ana, bo, mallory, eve] = [makeIdentity(), makeIdentity(), makeIdentity(), makeIdentity()] as [
  Identity,
  Identity,
  Identity,
  Identity
]
const escrowId = escrowIdOf(ana, bo)
const proofOf = readerOf(escrowId)

test('an escrow between the two who signed proves their trade, for what was in it', async () => {
  expect(await proofOf(rate(ana, bo, { escrowId }) as never)).toEqual({
    evidence: 'escrow',
    valueUnits: 4500,
    atMs: place.blockTimeMs
  })
})

test.each([
  ['strangers who name the escrow of others', () => rate(mallory, eve, { escrowId })],
  [
    'strangers who name an order of their own that was never paid',
    () => rate(mallory, eve, { escrowId: escrowIdOf(mallory, eve) })
  ],
  ['a price that is not what was in the escrow', () => rate(ana, bo, { escrowId, price: '9000000000' })],
  [
    'an order that shows another amount',
    () => rate(ana, bo, { escrowId, price: '9000000000', order: { ...fields, amount: '9000000000' } })
  ],
  ['an order in another form', () => rate(ana, bo, { escrowId, order: { amount: 'much' } })]
])('%s: a promise, no proof', async (_name, make) => {
  expect(await proofOf(make() as never)).toMatchObject({ evidence: 'one-sided' })
})
