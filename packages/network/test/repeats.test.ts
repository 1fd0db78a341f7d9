import { expect, test } from 'vitest'
import { repeatsMax } from '../src/gossip/limits.ts'
import { createMessageIds, messageId, messageIdKey } from '../src/gossip/message-id.ts'
import { createRepeats } from '../src/gossip/repeats.ts'

const messageOf = (n: number, topic = 'x') => ({ topic, data: Uint8Array.of(n) })

test('a peer that brings a message again, among its last ones, is known to', () => {
  const isRepeated = createRepeats(createMessageIds().keyOf)
  const others = createRepeats(createMessageIds().keyOf)
  for (let n = 0; n < repeatsMax; n++) expect(isRepeated(messageOf(n))).toBe(false)
  expect(others(messageOf(0))).toBe(false)
  expect(isRepeated(messageOf(0))).toBe(true)
  expect(isRepeated(messageOf(0, 'y'))).toBe(false)
  // That one had the place of the oldest.
  expect(isRepeated(messageOf(0))).toBe(false)
  expect(isRepeated(messageOf(repeatsMax - 1))).toBe(true)
})

test('ids that are remembered are those of the message asked about', () => {
  const ids = createMessageIds()
  const data = Uint8Array.of(1, 2)
  for (const message of [{ topic: 'x', data }, { topic: 'y', data }, { topic: 'y' }, messageOf(7, 'y')]) {
    for (let times = 0; times < 2; times++) {
      expect(ids.of(message)).toEqual(messageId(message))
      expect(ids.keyOf(message)).toBe(messageIdKey(messageId(message)))
    }
  }
})
