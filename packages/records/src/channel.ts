import type { RecordKind } from './kinds.ts'

/** Where records of one sort are gossiped and synchronised: a node carries only the channels that it wants. */
export type Channel = 'people' | 'feedback' | 'presence' | `listings/${string}`

/**
 * The channel of a record. It follows from kind and key alone, so that a tombstone, which has no content, goes the
 * way that the record went: a listing's key starts with its top category (`el.3f9a…` is in `listings/el`).
 */
export function channelOf(kind: RecordKind, key: string): Channel {
  switch (kind) {
    case 'profile':
      return 'people'
    case 'feedback':
      return 'feedback'
    // A channel that nobody carries: presence is looked up in the DHT.
    case 'presence':
      return 'presence'
    case 'listing':
      return `listings/${key.slice(0, key.indexOf('.'))}`
  }
}

/** The gossip topic of a channel: `/souk/1/main/listings/el`. */
export function topicOf(market: string, channel: Channel): string {
  return `/souk/1/${market}/${channel}`
}
