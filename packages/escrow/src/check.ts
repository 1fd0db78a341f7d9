import { EscrowError, type EscrowErrorCode } from './errors.ts'
import * as limits from './limits.ts'
import { assertOrder, sameAddress, zeroAddress, type Deployment, type EscrowOrder, type Hex } from './order.ts'

/**
 * What the caller knows an order must say: from the terms that both parties signed, never from the order itself.
 * What is left out must be zero in the order.
 */
export interface ExpectedOrder extends Deployment {
  buyer: Hex
  seller: Hex
  arbiter?: Hex
  token?: Hex
  amount: bigint
  buyerDeposit?: bigint
  sellerDeposit?: bigint
  feeRecipient?: Hex
  feeBps?: bigint
  arbiterFeeBps?: bigint
  /** The seller's share of the price when nobody rules. */
  defaultSellerBps?: bigint
  termsHash: Hex
}

/** What this node allows at all, whatever the terms say. */
export interface OrderPolicy extends Deployment {
  /**
   * Tokens that may be used, by lower-case address, with the most that one order may move (price and the two
   * deposits). A token that is not here is refused, and so is the native coin without {@link zeroAddress}.
   */
  maxAmountByToken: ReadonlyMap<Hex, bigint>
  /** Narrower or wider windows than `limits.ts`, in seconds: tests and chains with another clock. */
  windows?: Partial<WindowBounds>
}

export interface WindowBounds {
  acceptAheadSecondsMin: number
  dispatchWindowSecondsMin: number
  releaseWindowSecondsMin: number
  depositWindowSecondsMin: number
  rulingWindowSecondsMin: number
}

/**
 * Everything that can be known before money moves. Bisq lost 34 BTC in April 2020 to one unchecked address.
 *
 * @param nowSeconds - The chain's clock: the time of its newest block.
 * @throws {@link EscrowError} with the code of the first thing that differs.
 */
export function checkOrder(
  order: EscrowOrder,
  { expected, policy, nowSeconds }: { expected: ExpectedOrder; policy: OrderPolicy; nowSeconds: number }
): void {
  assertOrder(order)
  checkDeployment(expected, policy)
  checkParties(order, expected)
  checkMoney(order, expected)
  checkFees(order, expected)
  checkCap(order, policy)
  expect(sameAddress(order.termsHash, expected.termsHash), 'wrong-terms', 'termsHash is not that of the signed terms')
  checkWindows(order, { bounds: { ...limits.windowBounds, ...policy.windows }, nowSeconds })
}

function checkDeployment(expected: Deployment, policy: Deployment): void {
  const { chainId, contract } = expected
  expect(chainId === policy.chainId, 'wrong-chain', `terms name chain ${chainId}, this node uses ${policy.chainId}`)
  expect(
    sameAddress(contract, policy.contract),
    'wrong-contract',
    `terms name contract ${contract}, this node uses ${policy.contract}`
  )
}

function checkParties(order: EscrowOrder, expected: ExpectedOrder): void {
  const { buyer, seller, arbiter } = order
  expect(sameAddress(buyer, expected.buyer), 'wrong-party', `buyer is ${buyer}, not ${expected.buyer}`)
  expect(sameAddress(seller, expected.seller), 'wrong-party', `seller is ${seller}, not ${expected.seller}`)
  expect(!sameAddress(buyer, seller), 'wrong-party', 'buyer and seller are the same')
  expect(!isZero(buyer) && !isZero(seller), 'wrong-party', 'a party is the zero address')
  const named = expected.arbiter ?? zeroAddress
  expect(sameAddress(arbiter, named), 'wrong-arbiter', `arbiter is ${arbiter}, not ${named}`)
  const partial = sameAddress(arbiter, buyer) || sameAddress(arbiter, seller)
  expect(!partial, 'wrong-arbiter', 'the arbiter is one of the parties')
}

function checkMoney(order: EscrowOrder, expected: ExpectedOrder): void {
  const token = expected.token ?? zeroAddress
  expect(sameAddress(order.token, token), 'wrong-token', `token is ${order.token}, not ${token}`)
  for (const name of ['amount', 'buyerDeposit', 'sellerDeposit'] as const) {
    const value = expected[name] ?? 0n
    expect(order[name] === value, 'wrong-amount', `${name} is ${order[name]}, not ${value}`)
  }
  expect(order.amount > 0n, 'wrong-amount', 'amount is zero')
  expect(order.defaultSellerBps <= limits.bps, 'wrong-amount', `defaultSellerBps is above ${limits.bps}`)
  const share = expected.defaultSellerBps ?? 0n
  expect(
    order.defaultSellerBps === share,
    'wrong-amount',
    `defaultSellerBps is ${order.defaultSellerBps}, not ${share}`
  )
}

function checkFees(order: EscrowOrder, expected: ExpectedOrder): void {
  const feeRecipient = expected.feeRecipient ?? zeroAddress
  expect(sameAddress(order.feeRecipient, feeRecipient), 'wrong-fee', `feeRecipient is not ${feeRecipient}`)
  for (const [name, most] of [
    ['feeBps', limits.feeBpsMax],
    ['arbiterFeeBps', limits.arbiterFeeBpsMax]
  ] as const) {
    const value = expected[name] ?? 0n
    expect(order[name] === value, 'wrong-fee', `${name} is ${order[name]}, not ${value}`)
    expect(value <= most, 'wrong-fee', `${name} is above ${most}`)
  }
  expect(order.feeBps === 0n || !isZero(feeRecipient), 'wrong-fee', 'a fee without a recipient')
  expect(order.arbiterFeeBps === 0n || !isZero(order.arbiter), 'wrong-fee', 'an arbiter fee without an arbiter')
}

function checkCap(order: EscrowOrder, { maxAmountByToken }: OrderPolicy): void {
  const most = maxAmountByToken.get(order.token.toLowerCase() as Hex)
  if (most === undefined) throw new EscrowError('wrong-token', `token ${order.token} is not on this node's list`)
  const moved = order.amount + order.buyerDeposit + order.sellerDeposit
  expect(moved <= most, 'over-cap', `${moved} is above this node's cap of ${most} an order; raise maxAmountByToken`)
}

function checkWindows(order: EscrowOrder, { bounds, nowSeconds }: { bounds: WindowBounds; nowSeconds: number }): void {
  const ahead = Number(order.acceptBy) - nowSeconds
  atLeast('acceptBy (from now)', ahead, bounds.acceptAheadSecondsMin)
  atLeast('releaseWindow', order.releaseWindow, bounds.releaseWindowSecondsMin)
  if (order.dispatchWindow > 0n) atLeast('dispatchWindow', order.dispatchWindow, bounds.dispatchWindowSecondsMin)
  if (order.buyerDeposit + order.sellerDeposit > 0n || order.depositWindow > 0n) {
    atLeast('depositWindow', order.depositWindow, bounds.depositWindowSecondsMin)
  }
  if (!isZero(order.arbiter) || order.rulingWindow > 0n) {
    atLeast('rulingWindow', order.rulingWindow, bounds.rulingWindowSecondsMin)
  }
  const latest = limits.aheadSecondsMax
  const { dispatchWindow, releaseWindow, depositWindow, rulingWindow } = order
  const longest = [dispatchWindow, releaseWindow, depositWindow, rulingWindow].every((window) => window <= latest)
  const near = ahead <= latest && Number(order.notBefore) - nowSeconds <= latest
  expect(longest && near, 'wrong-window', `a time or window lies more than ${latest} s ahead`)
}

function atLeast(name: string, value: bigint | number, least: number): void {
  expect(value >= least, 'wrong-window', `${name} is ${value} s, below ${least} s`)
}

function isZero(address: Hex): boolean {
  return sameAddress(address, zeroAddress)
}

function expect(holds: boolean, code: EscrowErrorCode, message: string): void {
  if (!holds) throw new EscrowError(code, message)
}
