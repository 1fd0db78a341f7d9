import { TypedDataEncoder, type TypedDataDomain, type TypedDataField } from 'ethers'
import { EscrowError } from './errors.ts'

/** `0x` and hex digits: an address (20 bytes), a hash (32) or any bytes. */
export type Hex = `0x${string}`

/**
 * What two parties agree on, as `Escrow.sol` reads it; docs/protocol/escrow.md is normative. Amounts are minor units of
 * the token, times are seconds since 1970 by the chain's clock, windows are seconds.
 */
export interface EscrowOrder {
  buyer: Hex
  seller: Hex
  /** {@link zeroAddress}: no arbiter. */
  arbiter: Hex
  /** {@link zeroAddress}: the chain's own coin. */
  token: Hex
  feeRecipient: Hex
  amount: bigint
  buyerDeposit: bigint
  sellerDeposit: bigint
  acceptBy: bigint
  notBefore: bigint
  dispatchWindow: bigint
  releaseWindow: bigint
  depositWindow: bigint
  rulingWindow: bigint
  feeBps: bigint
  arbiterFeeBps: bigint
  defaultSellerBps: bigint
  /** SHA-256 of the off-chain terms, which hold 32 random bytes so that nobody can guess them from the hash. */
  termsHash: Hex
}

/** The chain and the contract that an order is bound to. */
export interface Deployment {
  chainId: number
  contract: Hex
}

/** In the order of the contract's enum. */
export const escrowStatuses = [
  'none',
  'funded',
  'accepted',
  'dispatched',
  'holding',
  'disputed',
  'released',
  'refunded',
  'settled',
  'ruled',
  'defaulted'
] as const
export type EscrowStatus = (typeof escrowStatuses)[number]

export const zeroAddress: Hex = `0x${'00'.repeat(20)}`

/** EIP-712 fields of the order, in the contract's order. */
const orderFields = [
  ['address', 'buyer'],
  ['address', 'seller'],
  ['address', 'arbiter'],
  ['address', 'token'],
  ['address', 'feeRecipient'],
  ['uint104', 'amount'],
  ['uint104', 'buyerDeposit'],
  ['uint104', 'sellerDeposit'],
  ['uint40', 'acceptBy'],
  ['uint40', 'notBefore'],
  ['uint32', 'dispatchWindow'],
  ['uint32', 'releaseWindow'],
  ['uint32', 'depositWindow'],
  ['uint32', 'rulingWindow'],
  ['uint16', 'feeBps'],
  ['uint16', 'arbiterFeeBps'],
  ['uint16', 'defaultSellerBps'],
  ['bytes32', 'termsHash']
] as const satisfies readonly (readonly [string, keyof EscrowOrder])[]

const actionTypes = {
  Order: orderFields.map(([type, name]) => ({ type, name })),
  Cancel: fields('bytes32 id'),
  Dispatch: fields('bytes32 id'),
  Release: fields('bytes32 id', 'uint104 total'),
  Refund: fields('bytes32 id', 'uint104 total'),
  Extend: fields('bytes32 id', 'uint40 deadline'),
  Dispute: fields('bytes32 id', 'uint8 status'),
  Rule: fields('bytes32 id', 'uint256 sellerTotal'),
  Settle: fields('bytes32 id', 'uint256 sellerTotal'),
  Withdraw: fields('address who', 'address token', 'address to', 'uint256 deadline')
} satisfies Record<string, TypedDataField[]>

/**
 * A step that somebody signs so that anyone may carry it out. `total` and `sellerTotal` count from the beginning of
 * the order: a newer signature replaces an older one, and an old one pays nothing more.
 */
export type EscrowAction =
  | { kind: 'accept'; order: EscrowOrder }
  | { kind: 'cancel'; id: Hex }
  | { kind: 'dispatch'; id: Hex }
  | { kind: 'release'; id: Hex; total: bigint }
  | { kind: 'refund'; id: Hex; total: bigint }
  | { kind: 'extend'; id: Hex; deadlineSeconds: bigint }
  | { kind: 'dispute'; id: Hex; status: 'dispatched' | 'holding' }
  | { kind: 'rule'; id: Hex; sellerTotal: bigint }
  | { kind: 'settle'; id: Hex; sellerTotal: bigint }
  | { kind: 'withdraw'; who: Hex; token: Hex; to: Hex; deadlineSeconds: bigint }

/** What a wallet is asked to sign. */
export interface TypedData {
  domain: TypedDataDomain
  types: Record<string, TypedDataField[]>
  value: Record<string, unknown>
}

/** The EIP-712 message of a step, on one chain and one contract. */
export function typedData(action: EscrowAction, deployment: Deployment): TypedData {
  const [name, value] = message(action)
  return { domain: domain(deployment), types: { [name]: actionTypes[name] }, value }
}

/**
 * An order's id: its EIP-712 digest. The seller's signature over it is the acceptance.
 *
 * @throws {@link EscrowError} `bad-order` if a field is missing, of another type or out of its range.
 */
export function orderId(order: EscrowOrder, deployment: Deployment): Hex {
  assertOrder(order)
  return typedDataHash(typedData({ kind: 'accept', order }, deployment))
}

/** The digest that is signed. */
export function typedDataHash({ domain, types, value }: TypedData): Hex {
  return TypedDataEncoder.hash(domain, types, value) as Hex
}

/**
 * Checks that a value from outside is an order: these eighteen fields, no other, each in the range of its type.
 *
 * @throws {@link EscrowError} `bad-order`, naming the field.
 */
export function assertOrder(value: unknown): asserts value is EscrowOrder {
  if (typeof value !== 'object' || value === null) throw new EscrowError('bad-order', 'an order is an object')
  const order = value as Record<string, unknown>
  for (const [type, name] of orderFields) {
    if (!Object.hasOwn(order, name) || !isOfType(order[name], type)) {
      throw new EscrowError('bad-order', `${name} is not a ${type}`)
    }
  }
  const extra = Object.keys(order).find((key) => !orderFields.some(([, name]) => name === key))
  if (extra !== undefined) throw new EscrowError('bad-order', `unknown field ${extra}`)
}

/** Addresses are compared as numbers: the mixed-case checksum is for people. */
export function sameAddress(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

/** Whether a value is exactly `bytes` bytes in hex. */
export function isHex(value: unknown, bytes: number): value is Hex {
  return typeof value === 'string' && value.length === 2 + 2 * bytes && /^0x[0-9a-fA-F]*$/.test(value)
}

function domain({ chainId, contract }: Deployment): TypedDataDomain {
  return { name: 'Souk Escrow', version: '1', chainId, verifyingContract: contract }
}

function message(action: EscrowAction): [keyof typeof actionTypes, Record<string, unknown>] {
  switch (action.kind) {
    case 'accept':
      return ['Order', lowerCased(action.order)]
    case 'cancel':
      return ['Cancel', { id: action.id }]
    case 'dispatch':
      return ['Dispatch', { id: action.id }]
    case 'release':
      return ['Release', { id: action.id, total: action.total }]
    case 'refund':
      return ['Refund', { id: action.id, total: action.total }]
    case 'extend':
      return ['Extend', { id: action.id, deadline: action.deadlineSeconds }]
    case 'dispute':
      return ['Dispute', { id: action.id, status: escrowStatuses.indexOf(action.status) }]
    case 'rule':
      return ['Rule', { id: action.id, sellerTotal: action.sellerTotal }]
    case 'settle':
      return ['Settle', { id: action.id, sellerTotal: action.sellerTotal }]
    case 'withdraw': {
      const { who, token, to, deadlineSeconds } = action
      return ['Withdraw', { who, token, to, deadline: deadlineSeconds }]
    }
  }
}

/** ethers refuses an address whose letters mix case without being its checksum; the digest does not depend on case. */
function lowerCased(order: EscrowOrder): Record<string, unknown> {
  const entries = orderFields.map(([type, name]) => {
    const value = order[name]
    return [name, type === 'address' ? String(value).toLowerCase() : value]
  })
  return Object.fromEntries(entries) as Record<string, unknown>
}

function isOfType(value: unknown, type: (typeof orderFields)[number][0]): boolean {
  if (type === 'address') return isHex(value, 20)
  if (type === 'bytes32') return isHex(value, 32)
  const bits = BigInt(type.slice('uint'.length))
  return typeof value === 'bigint' && value >= 0n && value >> bits === 0n
}

function fields(...declarations: string[]): TypedDataField[] {
  return declarations.map((declaration) => {
    const [type, name] = declaration.split(' ') as [string, string]
    return { type, name }
  })
}
