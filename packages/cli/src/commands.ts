import type { Command } from 'commander'
import type { Begin } from './invocation.ts'

/** Adds what a noun can do to its command. */
export type AddVerbs = (command: Command, begin: Begin) => void

/** A noun: its name and what `souk --help` says of it. Its module is loaded when it is called. */
export interface Noun {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<AddVerbs>
}

/** All nouns, in the order in which a newcomer needs them. */
export const nouns: readonly Noun[] = [
  noun('init', 'make an identity, or restore one', async () => (await import('./commands/init.ts')).addInit),
  noun('start', 'run the node and its API', async () => (await import('./commands/start.ts')).addStart),
  noun('status', 'how the node is', async () => (await import('./commands/status.ts')).addStatus),
  noun('listing', 'sell: publish, change and delete', async () => (await import('./commands/listing.ts')).addListing),
  noun('search', 'find what others offer', async () => (await import('./commands/search.ts')).addSearch),
  noun('order', 'buy, and see a trade through', async () => (await import('./commands/order.ts')).addOrder),
  noun(
    'letter',
    'what is on its way, and what could not be read',
    async () => (await import('./commands/letter.ts')).addLetter
  ),
  noun('feedback', 'rate, and read ratings', async () => (await import('./commands/feedback.ts')).addFeedback),
  noun(
    'reputation',
    'how far trust reaches, and why',
    async () => (await import('./commands/reputation.ts')).addReputation
  ),
  noun('peer', 'who this node talks to', async () => (await import('./commands/peer.ts')).addPeer),
  noun('profile', 'what others see of a person', async () => (await import('./commands/profile.ts')).addProfile),
  noun('wallet', 'address and balances', async () => (await import('./commands/wallet.ts')).addWallet),
  noun(
    'identity',
    'who one is, and the words that bring it back',
    async () => (await import('./commands/identity.ts')).addIdentity
  ),
  noun('category', 'the kinds of things', async () => (await import('./commands/category.ts')).addCategory),
  noun('events', 'what happens, as it happens', async () => (await import('./commands/events.ts')).addEvents),
  noun('relay', 'run a relay for others', async () => (await import('./commands/relay.ts')).addRelay),
  noun('doctor', 'find what is wrong', async () => (await import('./commands/doctor.ts')).addDoctor),
  noun(
    'completion',
    'complete words in bash, zsh or fish',
    async () => (await import('./commands/completion.ts')).addCompletion
  )
]

function noun(name: string, summary: string, load: Noun['load']): Noun {
  return { name, summary, load }
}
