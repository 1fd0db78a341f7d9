import type { LogDescription } from 'ethers'
import { escrowInterface } from './abi.ts'
import type { ContractLog } from './chain-log.ts'
import { escrowStatuses, type EscrowStatus, type Hex } from './order.ts'
import { badAnswer } from './rpc.ts'

/** Where a fact stands in the chain. `(txHash, logIndex)` names it: a fact told twice is the same fact. */
export interface FactPlace {
  txHash: Hex
  logIndex: number
  blockNumber: number
  blockHash: Hex
  /** By the chain's clock. */
  blockTimeMs: number
  /**
   * False: seen, and may be undone. True: as deep as this node was configured to wait for, and agreed between its
   * endpoints. Ship, hand over and mark as paid only then.
   */
  final: boolean
}

/** What an event of the contract says. Totals in `part-paid` are before fees, what a party `got` in `closed` is net. */
export type FactContent =
  | {
      kind: 'funded'
      id: Hex
      status: 'funded'
      buyer: Hex
      seller: Hex
      token: Hex
      amount: bigint
      buyerDeposit: bigint
      deadlineSeconds: number
    }
  | { kind: 'accepted'; id: Hex; status: 'accepted'; deadlineSeconds: number }
  | { kind: 'dispatched'; id: Hex; status: 'dispatched'; deadlineSeconds: number }
  | { kind: 'extended'; id: Hex; deadlineSeconds: number }
  | { kind: 'part-paid'; id: Hex; toSeller: bigint; toBuyer: bigint }
  | { kind: 'holding'; id: Hex; status: 'holding'; deadlineSeconds: number }
  | { kind: 'disputed'; id: Hex; status: 'disputed'; by: Hex; arbiter: Hex; deadlineSeconds: number }
  | { kind: 'closed'; id: Hex; status: EscrowStatus; sellerGot: bigint; buyerGot: bigint; arbiterGot: bigint }
  | { kind: 'credited'; who: Hex; token: Hex; amount: bigint }
  | { kind: 'withdrawn'; who: Hex; token: Hex; to: Hex; amount: bigint }

/** Something that happened in the escrow. `credited` and `withdrawn` belong to a person, all others to an order. */
export type EscrowFact = FactContent & FactPlace

/** Reads a fact from a log of the contract. @throws {@link EscrowError} `bad-rpc-answer` for what it cannot emit. */
export function decodeFact(log: ContractLog, { final }: { final: boolean }): EscrowFact {
  const { txHash, logIndex, blockNumber, blockHash, blockTimeMs } = log
  return { ...decodeContent(log), txHash, logIndex, blockNumber, blockHash, blockTimeMs, final }
}

/** The same without its place, to check a log before it is believed. */
export function decodeContent({ topics, data }: Pick<ContractLog, 'topics' | 'data'>): FactContent {
  const event = parse({ topics, data })
  if (!event) throw badAnswer('a log of the escrow')
  const { args } = event
  const id = args.id as Hex
  const deadlineSeconds = Number(args.deadline ?? 0n)
  const address = (name: string): Hex => (args[name] as string).toLowerCase() as Hex
  const amount = (name: string): bigint => args[name] as bigint
  switch (event.name) {
    case 'Funded': {
      const parties = { buyer: address('buyer'), seller: address('seller'), token: address('token') }
      const amounts = { amount: amount('amount'), buyerDeposit: amount('buyerDeposit') }
      return { kind: 'funded', id, status: 'funded', ...parties, ...amounts, deadlineSeconds }
    }
    case 'Accepted':
      return { kind: 'accepted', id, status: 'accepted', deadlineSeconds }
    case 'Dispatched':
      return { kind: 'dispatched', id, status: 'dispatched', deadlineSeconds }
    case 'Extended':
      return { kind: 'extended', id, deadlineSeconds }
    case 'PartPaid':
      return { kind: 'part-paid', id, toSeller: amount('toSeller'), toBuyer: amount('toBuyer') }
    case 'Holding':
      return { kind: 'holding', id, status: 'holding', deadlineSeconds }
    case 'Disputed':
      return {
        kind: 'disputed',
        id,
        status: 'disputed',
        by: address('by'),
        arbiter: address('arbiter'),
        deadlineSeconds
      }
    case 'Closed': {
      const got = { sellerGot: amount('sellerGot'), buyerGot: amount('buyerGot'), arbiterGot: amount('arbiterGot') }
      return { kind: 'closed', id, status: statusOf(args.status as bigint), ...got }
    }
    case 'Credited':
      return { kind: 'credited', who: address('who'), token: address('token'), amount: amount('amount') }
    case 'Withdrawn': {
      const { who, token, to } = { who: address('who'), token: address('token'), to: address('to') }
      return { kind: 'withdrawn', who, token, to, amount: amount('amount') }
    }
    default:
      throw badAnswer('a log of the escrow')
  }
}

function parse(log: { topics: Hex[]; data: Hex }): LogDescription | null {
  try {
    return escrowInterface.parseLog(log)
  } catch {
    return null
  }
}

function statusOf(value: bigint): EscrowStatus {
  const status = escrowStatuses[Number(value)]
  if (!status) throw badAnswer('a status')
  return status
}
