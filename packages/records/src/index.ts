/**
 * The signed record: what is gossiped, stored and synchronised between Souk nodes. Pure: no clock, disk or network;
 * runs in Node and in a browser.
 *
 * @example
 * ```ts
 * const identity = identityFromPhrase(createPhrase())
 * const record = sealRecord({ kind: 'profile', market: 'main', key: '', seq: 1, createdAtMs, expiresAtMs, content }, identity.signer)
 * const same = openRecord(record.bytes, { nowMs: Date.now() }) // throws RecordError with a code for anything wrong
 * ```
 *
 * @packageDocumentation
 */
export { compareBytes, decodeCanonical, encodeCanonical, sameBytes } from './canonical.ts'
export { categories, isCategory, isCategoryId, topCategory } from './categories.ts'
export type { Category } from './categories.ts'
export { channelOf, topicOf } from './channel.ts'
export type { Channel } from './channel.ts'
export { RecordError, type Refusal } from './errors.ts'
export type { RecordErrorCode } from './errors.ts'
export { createPhrase, didFromKey, identityFromPhrase, keyFromDid, nymFromKey, signerFromKey } from './identity.ts'
export type { Did, Identity, Signer } from './identity.ts'
export { listingToJsonLd } from './json-ld.ts'
export type { JsonLd } from './json-ld.ts'
export { openKeystore, sealKeystore } from './keystore.ts'
export { recordKinds } from './kinds.ts'
export type { ContentOf, RecordKind } from './kinds.ts'
export {
  clockSkewMsMax,
  conflictsPerSlotMax,
  kindLimits,
  recordBytesMax,
  workBitsAskedMax,
  workBitsMin
} from './limits.ts'
export type { KindLimits } from './limits.ts'
export { addMoney, currencyDecimals, formatMoney, isCurrency, moneyFromWire, moneyToWire, parseMoney } from './money.ts'
export type { Money, WireMoney } from './money.ts'
export {
  encodeStatement,
  escrowTermsHash,
  openReceipt,
  openStatement,
  signStatement,
  verifyStatement
} from './receipt.ts'
export type { OpenedReceipt, Receipt, Statement } from './receipt.ts'
export {
  isRefusal,
  isTooLittleWork,
  openRecord,
  openRecordAside,
  openRecords,
  openRecordsAside,
  reopenRecord
} from './opening.ts'
export type { Opened, OpenRules, TooLittleWork, WorkClaim } from './opening.ts'
export { isRecordId, recordDigest, recordIdOfDigest } from './record-id.ts'
export type { RecordId } from './record-id.ts'
export { compareEvidence, compareForSlot, preimageOf, sealRecord } from './record.ts'
export type { AnyRecord, RecordDraft, SealOptions, SoukRecord } from './record.ts'
export { createVerifier, verifySignature } from './signature.ts'
export type { SignatureInput, Verifier, Verify } from './signature.ts'
export { cleanText, isCleanLine, isCleanText } from './text.ts'
export { walletAddress } from './wallet.ts'
export { createWorkSearch, findWork, workFloor } from './work.ts'
export type { Priced, Work, WorkSearch } from './work.ts'
