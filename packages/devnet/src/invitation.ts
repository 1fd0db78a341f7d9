import { names } from './cast.ts'
import type { Devnet } from './devnet.ts'

/** What can be tried in the market that is left running. */
export async function invitation(market: Devnet): Promise<string> {
  const souk = (name: string): string => `npm run -s souk -- --home ${market.person(name).home}`
  const { seller, buyer, neighbour, onlooker } = names
  const { hits } = await market.person(buyer).call('GET /v1/search', { query: { text: 'lacquered bowl' } })
  return [
    'The market is yours. In another terminal, in this folder:',
    '',
    `  ${souk(buyer)} search bowl`,
    `  ${souk(buyer)} listing list`,
    `  ${souk(buyer)} order buy ${hits[0]?.id ?? 'LISTING'} --escrow --ship-to 'Bruno, Wien'`,
    `  ${souk(seller)} order list`,
    `  ${souk(seller)} order accept ORDER   # its id, from the list`,
    `  ${souk(seller)} order ship ORDER`,
    `  ${souk(buyer)} order confirm ORDER`,
    `  ${souk(seller)} listing create --title 'Enamel pot' --category hg --price '12.50 EUR' --pick-up`,
    `  ${souk(neighbour)} search pot`,
    `  ${souk(buyer)} wallet show`,
    `  ${souk(onlooker)} reputation show ${market.person(seller).did} --search`,
    `  ${souk(onlooker)} peer list`,
    '',
    `  a node of your own:  npm run -s souk -- --home /tmp/me start --bootstrap ${market.relay.addresses[0] ?? ''}`,
    `  the relay’s figures: ${market.relay.httpUrl}/metrics`,
    '',
    'Ctrl-C ends it.',
    ''
  ].join('\n')
}
