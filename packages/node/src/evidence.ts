import { bytesToHex } from '@noble/hashes/utils.js'
import {
  type ContentOf,
  currencyDecimals,
  type OpenedReceipt,
  openReceipt,
  type SoukRecord,
  type WireMoney
} from '@souk/records'
import type { Evidence } from '@souk/reputation'
import { escrowOrderIn } from '@souk/trading'
import type { Chains, FactRow } from './chains.ts'
import type { ReferenceRates } from './config.ts'

/** What a feedback's receipt proves to this node. */
export interface Proof {
  readonly evidence: Evidence
  /** Of the trade, in whole units of the reference currency; 0 when this node cannot tell. */
  readonly valueUnits: number
  /** The chain's clock for an escrow, else the parties'. */
  readonly atMs: number
}

/** Statuses in which an escrow has ended, whoever got the money. */
const ended = new Set(['released', 'refunded', 'settled', 'ruled', 'defaulted'])

/**
 * Weighs receipts by what this node has seen itself: a chain that it reads beats what two parties signed, and a
 * promise that nothing followed proves no trade.
 */
export function createEvidence(components: { chains: Pick<Chains, 'all'> }, init: { rates: ReferenceRates }) {
  const valueOf = ({ minor, currency }: WireMoney): number => {
    const token = components.chains.all
      .flatMap(({ init: chain }) => chain.tokens.map((each) => ({ ...each, chain: chain.chain })))
      .find(({ chain, address }) => currency === assetName({ chain, address }))
    const name = token === undefined ? currency : (token.pegs ?? token.symbol)
    const rate = init.rates[name] ?? (/^[A-Z]{3}$/.test(name) && name !== 'XXX' ? 1 : 0)
    if (rate === 0) return 0
    const decimals = token?.decimals ?? currencyDecimals(currency)
    return (Number(minor) / 10 ** decimals) * rate
  }

  /** The end of the escrow that a receipt names, when it is one between the two who signed, for the price that they say. */
  const endOf = async (receipt: OpenedReceipt): Promise<FactRow | undefined> => {
    const { escrow, price } = receipt.statement
    const order = escrowOrderIn(receipt)
    const chain = components.chains.all.find(
      ({ init: each }) => each.chain === escrow?.chain && each.contract === escrow.contract
    )
    if (escrow === undefined || chain === undefined || order === undefined) return undefined
    const id = chain.escrow.orderId(order)
    // The statement is the two parties' word: the order on chain has to commit to them, and to this price.
    const isTheirs = id === `0x${bytesToHex(escrow.id)}` && order.amount.toString() === price.minor
    if (!isTheirs || assetName({ chain: escrow.chain, address: order.token }) !== price.currency) return undefined
    const facts = (await chain.factsOf(id)).filter(({ final }) => final)
    const wasFunded = facts.some(({ kind }) => kind === 'funded')
    return wasFunded ? facts.find(({ kind, status }) => kind === 'closed' && ended.has(status ?? '')) : undefined
  }

  return async ({
    content,
    createdAtMs
  }: SoukRecord<'feedback'> & { content: ContentOf<'feedback'> }): Promise<Proof> => {
    const receipt = openReceipt(content.receipt)
    const { statement } = receipt
    const closed = await endOf(receipt)
    const valueUnits = valueOf(statement.price)
    if (closed !== undefined) return { evidence: 'escrow', valueUnits, atMs: closed.blockTimeMs }
    const atMs = Math.min(statement.at, createdAtMs)
    return { evidence: statement.type === 'closing' ? 'pair' : 'one-sided', valueUnits, atMs }
  }
}

/** CAIP-19. */
function assetName({ chain, address }: { chain: string; address: string }): string {
  return /^0x0{40}$/.test(address) ? `${chain}/slip44:60` : `${chain}/erc20:${address}`
}
