import { expect, test } from 'vitest'
import { identityFromPhrase, walletAddress } from '../src/index.ts'

test('the wallet of a well-known phrase has its well-known address', () => {
  const { walletKey } = identityFromPhrase('test test test test test test test test test test test junk')
  expect(walletAddress(walletKey)).toBe('0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266')
})
