import { recoverAddress } from 'ethers'
import { callView, contractSignerInterface, escrowInterface, tokenInterface } from './abi.ts'
import { checkOrder, type ExpectedOrder, type OrderPolicy } from './check.ts'
import { verifyDeployment } from './deployment.ts'
import { EscrowError } from './errors.ts'
import { createJournal, type JournalEntry } from './journal.ts'
import { confirmations } from './limits.ts'
import {
  assertOrder,
  escrowStatuses,
  orderId,
  sameAddress,
  typedData,
  typedDataHash,
  zeroAddress,
  type Deployment,
  type EscrowAction,
  type EscrowOrder,
  type EscrowStatus,
  type Hex
} from './order.ts'
import type { Payer } from './payer.ts'
import { badAnswer, getBlock, type Rpc } from './rpc.ts'
import { createLock, createSender, type SenderTiming, type SendOptions, type SendResult } from './sender.ts'
import type { EscrowStore } from './store.ts'

export interface EscrowComponents {
  /** An endpoint of the chain; see {@link connectRpc}. */
  provider: Rpc
  /** Who pays and signs. Without one the escrow can only be read. */
  payer?: Payer
  /** Holds the journal. Two escrows may share a store only if their payers differ. */
  store: EscrowStore
  /** Milliseconds since 1970, for patience only: deadlines go by the chain's clock. */
  now?: () => number
}

export interface EscrowInit extends OrderPolicy {
  /** Blocks after which a receipt is final; {@link confirmations} by default. */
  confirmations?: number
  timing?: Partial<SenderTiming>
}

/** What the contract knows of an order. `toSeller` and `toBuyer` are totals before fees. */
export interface EscrowState {
  status: EscrowStatus
  /** By the chain's clock; 0 in `none` and in final statuses. */
  deadlineSeconds: number
  toSeller: bigint
  toBuyer: bigint
}

/** A step that may carry a party's signature in place of the payer's own. */
export interface StepOptions extends SendOptions {
  /** The journal's key; by default the step's name and the order's id. */
  key?: string
  signature?: Hex
}

export interface FundOptions extends SendOptions {
  key?: string
  /** What the signed terms say; compared with the order before anything else. */
  expected: ExpectedOrder
  /** The seller's signature over the order: the order is then accepted in the same transaction. */
  sellerSignature?: Hex
}

export interface SettleOptions extends SendOptions {
  key?: string
  sellerTotal: bigint
  buyerSignature?: Hex
  sellerSignature?: Hex
}

/** One payer's view of one escrow contract. */
export interface Escrow {
  readonly chainId: number
  readonly contract: Hex
  orderId(order: EscrowOrder): Hex

  /**
   * Checks the order against the signed terms and this node's policy, and the chain against the configuration, without
   * sending anything. {@link fund} and {@link accept} do it themselves.
   */
  check(order: EscrowOrder, expected: ExpectedOrder): Promise<void>
  /** The payer's signature under a step, which anyone may then carry out. */
  sign(action: EscrowAction): Promise<Hex>
  /** @throws {@link EscrowError} `bad-signature` unless `who` signed the step: by key, or by ERC-1271. */
  verify(action: EscrowAction, signed: { who: Hex; signature: Hex }): Promise<void>

  /** The buyer pays price and deposit. Approves the exact sum first where the token needs it. */
  fund(order: EscrowOrder, options: FundOptions): Promise<SendResult>
  /** The seller takes on a funded order, and pays the seller's deposit. */
  accept(order: EscrowOrder, options: StepOptions & { expected: ExpectedOrder }): Promise<SendResult>
  cancel(order: EscrowOrder, options?: StepOptions): Promise<SendResult>
  /** Either party makes an order that is not funded unusable. */
  revoke(order: EscrowOrder, options?: SendOptions): Promise<SendResult>
  dispatch(order: EscrowOrder, options?: StepOptions): Promise<SendResult>
  /** @param options.total - What the seller has then got of the price in all; all of it by default. */
  release(order: EscrowOrder, options?: StepOptions & { total?: bigint }): Promise<SendResult>
  /** @param options.total - What the buyer has then got back of the price in all; all of it by default. */
  refund(order: EscrowOrder, options?: StepOptions & { total?: bigint }): Promise<SendResult>
  extend(order: EscrowOrder, options: StepOptions & { deadlineSeconds: bigint }): Promise<SendResult>
  /** @param options.by - Who objects; the payer by default. */
  dispute(order: EscrowOrder, options?: StepOptions & { by?: Hex }): Promise<SendResult>
  rule(order: EscrowOrder, options: StepOptions & { sellerTotal: bigint }): Promise<SendResult>
  settle(order: EscrowOrder, options: SettleOptions): Promise<SendResult>
  /** Carries out what the order says for a deadline that passed. Anyone may. */
  timeout(order: EscrowOrder, options?: SendOptions): Promise<SendResult>
  /** Takes the payer's credit: payments that were refused when they were pushed. */
  withdraw(token: Hex, options?: SendOptions & { to?: Hex; key?: string }): Promise<SendResult>

  state(id: Hex): Promise<EscrowState>
  /** What the contract holds for an order. */
  held(order: EscrowOrder): Promise<bigint>
  credit(who: Hex, token: Hex): Promise<bigint>
  /** Goes on with what a crash interrupted; see {@link createSender}. @returns What is unfinished. */
  resume(options?: { signal?: AbortSignal }): Promise<JournalEntry[]>
}

interface Step {
  name: string
  order: EscrowOrder
  args: readonly unknown[]
  options: SendOptions & { key?: string }
  value?: bigint
  /** Distinguishes steps that may happen more than once in an order. */
  suffix?: string
  /** Whether the order has come as far as this step would bring it. */
  isDone: (state: EscrowState) => boolean
}

/**
 * The escrow, seen by one payer.
 *
 * @throws {@link EscrowError} from every method; nothing else is thrown.
 */
export function createEscrow({ provider: rpc, payer, store, now }: EscrowComponents, init: EscrowInit): Escrow {
  const deployment: Deployment = { chainId: init.chainId, contract: init.contract.toLowerCase() as Hex }
  const { contract } = deployment
  const journal = createJournal(store)
  const approveThenPay = createLock()
  const sender =
    payer &&
    createSender(
      { rpc, payer, journal, ...(now ? { now } : {}) },
      { ...init, confirmations: init.confirmations ?? confirmations }
    )
  let verified: Promise<void> | undefined

  const idOf = (order: EscrowOrder): Hex => orderId(order, deployment)

  const requirePayer = (): { payer: Payer; sender: NonNullable<typeof sender> } => {
    if (!payer || !sender) throw new EscrowError('no-payer', 'this escrow was opened without a payer')
    return { payer, sender }
  }

  const verifyOnce = async (): Promise<void> => {
    verified ??= verifyDeployment(rpc, deployment)
    try {
      await verified
    } catch (error) {
      verified = undefined
      throw error
    }
  }

  const check = async (order: EscrowOrder, expected: ExpectedOrder): Promise<void> => {
    checkOrder(order, { expected, policy: init, nowSeconds: await chainSeconds(rpc) })
    await verifyOnce()
  }

  const ask = async (name: string, args: readonly unknown[]): Promise<unknown[]> =>
    callView(rpc, { abi: escrowInterface, to: contract, name, args })

  const state = async (id: Hex): Promise<EscrowState> => {
    const [answer] = (await ask('state', [id])) as [[bigint, bigint, bigint, bigint]]
    const [status, deadline, toSeller, toBuyer] = answer
    const name = escrowStatuses[Number(status)]
    if (!name) throw badAnswer('state')
    return { status: name, deadlineSeconds: Number(deadline), toSeller, toBuyer }
  }

  const step = async ({ name, order, args, options, value = 0n, suffix = '', isDone }: Step): Promise<SendResult> => {
    const { sender } = requirePayer()
    await verifyOnce()
    const id = idOf(order)
    const data = escrowInterface.encodeFunctionData(name, [toTuple(order), ...args]) as Hex
    const key = options.key ?? `${name}:${id}${suffix}`
    return sender.send({ key, to: contract, data, value, isDone: async () => isDone(await state(id)) }, options)
  }

  /** Lets the escrow take exactly `amount`, and holds back other payments in tokens until that is used up. */
  const payInToken = (
    order: EscrowOrder,
    { amount, options, pay }: { amount: bigint; options: SendOptions; pay: () => Promise<SendResult> }
  ): Promise<SendResult> => {
    if (sameAddress(order.token, zeroAddress) || amount === 0n) return pay()
    return approveThenPay(async () => {
      await approve({ token: order.token.toLowerCase() as Hex, amount, key: `approve:${idOf(order)}`, options })
      return pay()
    })
  }

  const approve = async (wish: { token: Hex; amount: bigint; key: string; options: SendOptions }): Promise<void> => {
    const { token, amount, key, options } = wish
    const { payer, sender } = requirePayer()
    const owner = await payer.address()
    const read = async (name: string, args: readonly unknown[]): Promise<bigint> =>
      (await callView(rpc, { abi: tokenInterface, to: token, name, args }))[0] as bigint
    const isAllowed = async (): Promise<boolean> => (await read('allowance', [owner, contract])) >= amount
    if ((await read('balanceOf', [owner])) < amount) {
      throw new EscrowError('insufficient-funds', `the payer holds less than ${amount} of token ${token}`)
    }
    if (await isAllowed()) return
    // Mined before and used up since: an allowance is no payment, so it may be given again.
    const before = await journal.get(key)
    if (before && (before.state === 'mined' || before.state === 'final')) await journal.delete(key)
    const data = tokenInterface.encodeFunctionData('approve', [contract, amount]) as Hex
    const { signal } = options
    await sender.send({ key, to: token, data, value: 0n, isDone: isAllowed }, signal ? { signal } : {})
  }

  const verify = async (action: EscrowAction, { who, signature }: { who: Hex; signature: Hex }): Promise<void> => {
    const digest = typedDataHash(typedData(action, deployment))
    if (recovers(digest, { who, signature }) || (await isSignedByContract(rpc, { digest, who, signature }))) return
    throw new EscrowError('bad-signature', `${action.kind} is not signed by ${who}`)
  }

  const fund = async (order: EscrowOrder, options: FundOptions): Promise<SendResult> => {
    const { payer } = requirePayer()
    const id = idOf(order)
    const { sellerSignature = '0x', expected } = options
    const key = options.key ?? `fund:${id}`
    if (!isBegun(await journal.get(key))) {
      await check(order, expected)
      await checkPayer(payer, order.buyer)
      if (sellerSignature !== '0x')
        await verify({ kind: 'accept', order }, { who: order.seller, signature: sellerSignature })
      const { status } = await state(id)
      if (status !== 'none') throw new EscrowError('already-funded', `order ${id} is ${status}`)
    }
    const due = order.amount + order.buyerDeposit
    const value = sameAddress(order.token, zeroAddress) ? due : 0n
    const pay = (): Promise<SendResult> =>
      step({ name: 'fund', order, args: [sellerSignature], value, options: { ...options, key }, isDone: notNone })
    return isUnderWay(await journal.get(key)) ? pay() : payInToken(order, { amount: due, options, pay })
  }

  const accept: Escrow['accept'] = async (order, options) => {
    const { payer } = requirePayer()
    const key = options.key ?? `accept:${idOf(order)}`
    if (!isBegun(await journal.get(key))) {
      checkOrder(order, {
        expected: options.expected,
        policy: withoutAcceptBound(init),
        nowSeconds: await chainSeconds(rpc)
      })
      await verifyOnce()
      if (!options.signature) await checkPayer(payer, order.seller)
    }
    const value = sameAddress(order.token, zeroAddress) ? order.sellerDeposit : 0n
    const args = [options.signature ?? '0x']
    const pay = (): Promise<SendResult> =>
      step({ name: 'accept', order, args, value, options: { ...options, key }, isDone: pastFunded })
    const amount = options.signature ? 0n : order.sellerDeposit
    return isUnderWay(await journal.get(key)) ? pay() : payInToken(order, { amount, options, pay })
  }

  const simple =
    (name: string, isDone: Step['isDone']) =>
    async (order: EscrowOrder, options: StepOptions = {}): Promise<SendResult> =>
      step({ name, order, args: [options.signature ?? '0x'], options, isDone })

  const release: Escrow['release'] = async (order, options = {}) => {
    const total = options.total ?? order.amount
    const isDone = (at: EscrowState): boolean => isFinal(at) || at.toSeller >= total
    return step({
      name: 'release',
      order,
      args: [total, options.signature ?? '0x'],
      options,
      suffix: `:${total}`,
      isDone
    })
  }

  const refund: Escrow['refund'] = async (order, options = {}) => {
    const total = options.total ?? order.amount
    const isDone = (at: EscrowState): boolean => isFinal(at) || at.toBuyer >= total
    return step({
      name: 'refund',
      order,
      args: [total, options.signature ?? '0x'],
      options,
      suffix: `:${total}`,
      isDone
    })
  }

  const extend: Escrow['extend'] = async (order, options) => {
    const { deadlineSeconds, signature = '0x' } = options
    const isDone = (at: EscrowState): boolean => BigInt(at.deadlineSeconds) >= deadlineSeconds
    return step({
      name: 'extend',
      order,
      args: [deadlineSeconds, signature],
      options,
      suffix: `:${deadlineSeconds}`,
      isDone
    })
  }

  const dispute: Escrow['dispute'] = async (order, options = {}) => {
    const by = options.by ?? (await requirePayer().payer.address())
    return step({ name: 'dispute', order, args: [by, options.signature ?? '0x'], options, isDone: disputedOrFinal })
  }

  const rule: Escrow['rule'] = async (order, options) =>
    step({ name: 'rule', order, args: [options.sellerTotal, options.signature ?? '0x'], options, isDone: isFinal })

  const settle: Escrow['settle'] = async (order, options) => {
    const { sellerTotal, buyerSignature = '0x', sellerSignature = '0x' } = options
    const args = [sellerTotal, buyerSignature, sellerSignature]
    return step({ name: 'settle', order, args, options, suffix: `:${sellerTotal}`, isDone: isFinal })
  }

  const timeout: Escrow['timeout'] = async (order, options = {}) => {
    const before = await state(idOf(order))
    const isDone = (at: EscrowState): boolean => at.status !== before.status
    return step({ name: 'timeout', order, args: [], options, suffix: `:${before.status}`, isDone })
  }

  const credit = async (who: Hex, token: Hex): Promise<bigint> =>
    (await ask('credit', [who.toLowerCase(), token.toLowerCase()]))[0] as bigint

  const withdraw: Escrow['withdraw'] = async (token, options = {}) => {
    const { payer, sender } = requirePayer()
    await verifyOnce()
    const owner = await payer.address()
    const key = options.key ?? `withdraw:${token.toLowerCase()}`
    if (!options.key && (await journal.get(key))?.state === 'final') await journal.delete(key)
    if (!isUnderWay(await journal.get(key)) && (await credit(owner, token)) === 0n) {
      throw new EscrowError('no-credit', `nothing to withdraw in token ${token}`)
    }
    const data = escrowInterface.encodeFunctionData('withdraw', [token, options.to ?? owner]) as Hex
    const isDone = async (): Promise<boolean> => (await credit(owner, token)) === 0n
    return sender.send({ key, to: contract, data, value: 0n, isDone }, options)
  }

  return {
    ...deployment,
    orderId: idOf,
    check,
    verify,
    sign: async (action) => requirePayer().payer.signTypedData(typedData(action, deployment)),
    fund,
    accept,
    cancel: simple('cancel', isFinal),
    revoke: async (order, options = {}) => step({ name: 'revoke', order, args: [], options, isDone: notNone }),
    dispatch: simple('dispatch', pastAccepted),
    release,
    refund,
    extend,
    dispute,
    rule,
    settle,
    timeout,
    withdraw,
    state,
    held: async (order) => (await ask('held', [toTuple(order)]))[0] as bigint,
    credit,
    resume: async (options) => requirePayer().sender.resume(options)
  }
}

/** The time of the newest block: the only clock that deadlines know. */
async function chainSeconds(rpc: Rpc): Promise<number> {
  const block = await getBlock(rpc, 'latest')
  if (!block) throw badAnswer('newest block')
  return block.timeSeconds
}

async function checkPayer(payer: Payer, party: Hex): Promise<void> {
  const address = await payer.address()
  if (!sameAddress(address, party)) throw new EscrowError('wrong-party', `the payer is ${address}, not ${party}`)
}

function recovers(digest: Hex, { who, signature }: { who: Hex; signature: Hex }): boolean {
  try {
    return sameAddress(recoverAddress(digest, signature), who)
  } catch {
    return false
  }
}

async function isSignedByContract(
  rpc: Rpc,
  { digest, who, signature }: { digest: Hex; who: Hex; signature: Hex }
): Promise<boolean> {
  const selector = contractSignerInterface.getFunction('isValidSignature')?.selector
  const args = [digest, signature]
  try {
    const [answer] = await callView(rpc, { abi: contractSignerInterface, to: who, name: 'isValidSignature', args })
    return answer === selector
  } catch {
    return false
  }
}

/** ethers encodes a struct from an object; lower case spares it the checksum. */
function toTuple(order: EscrowOrder): Record<string, unknown> {
  assertOrder(order)
  const entries = Object.entries(order) as [string, unknown][]
  return Object.fromEntries(entries.map(([k, v]) => [k, typeof v === 'string' ? v.toLowerCase() : v]))
}

/** A seller who accepts just before `acceptBy` is still in time: the bound protects who pays first. */
function withoutAcceptBound(policy: OrderPolicy): OrderPolicy {
  return { ...policy, windows: { ...policy.windows, acceptAheadSecondsMin: 0 } }
}

/** Checked before, and perhaps sent: what is begun is brought to its end. What was undone is checked anew. */
function isBegun(entry: JournalEntry | undefined): boolean {
  return entry !== undefined && !entry.reverted
}

function isUnderWay(entry: JournalEntry | undefined): boolean {
  return entry !== undefined && entry.state !== 'intent' && !entry.reverted
}

function isFinal({ status }: EscrowState): boolean {
  return escrowStatuses.indexOf(status) >= escrowStatuses.indexOf('released')
}

function disputedOrFinal(state: EscrowState): boolean {
  return state.status === 'disputed' || isFinal(state)
}

function notNone({ status }: EscrowState): boolean {
  return status !== 'none'
}

function pastFunded({ status }: EscrowState): boolean {
  return status !== 'none' && status !== 'funded'
}

function pastAccepted(state: EscrowState): boolean {
  return pastFunded(state) && state.status !== 'accepted'
}
