import { kindLimits, recordDigest, sealRecord, workBitsMin } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { feedbackDhtInit, openFeedback, valueKey } from '../../src/feedback/value.ts'
import { feedbackOf, person, type TradeInit } from './trade.ts'

const nowMs = Date.now()
const trade = (init: Partial<TradeInit> = {}) => feedbackOf({ buyer: person(), seller: person(), nowMs, ...init })

describe('the work of a feedback', () => {
  test('is the least there is, for the largest and the longest too', () => {
    const largest = trade({ text: '好'.repeat(2000), lifeMs: kindLimits.feedback.lifeMsMax })
    for (const { bytes, work } of [trade(), largest]) {
      expect(openFeedback(bytes, { nowMs }).work).toEqual(work)
      expect(work?.bits).toBe(workBitsMin)
    }
  })

  test.each([0, 1, workBitsMin - 1])('is too little with %d bits, for replicas and readers alike', (workBits) => {
    const { id, bytes } = trade({ workBits })
    const belowFloor = expect.objectContaining({ code: 'below-floor' })
    expect(() => openFeedback(bytes, { nowMs })).toThrow(belowFloor)
    const { validators } = feedbackDhtInit({ now: () => nowMs })
    expect(() => validators['souk']!(valueKey(recordDigest(id)), bytes)).toThrow(belowFloor)
  })

  test('is looked at before a signature, and after what needs no hash', () => {
    const forged = ({ bytes }: { bytes: Uint8Array }): Uint8Array => bytes.with(-1, bytes.at(-1)! ^ 1)
    const codeOf = (bytes: Uint8Array, atMs = nowMs): unknown => {
      try {
        return openFeedback(bytes, { nowMs: atMs }) && 'none'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    const [poor, rich] = [trade({ workBits: 0 }), trade()]
    expect([codeOf(forged(poor)), codeOf(forged(rich))]).toEqual(['below-floor', 'not-feedback'])
    expect(codeOf(poor.bytes, poor.expiresAtMs)).toBe('expired')
    expect(codeOf(poor.bytes, poor.createdAtMs - 3_600_000)).toBe('not-yet-valid')
  })

  test('does not make a feedback of another kind', () => {
    const times = { createdAtMs: nowMs, expiresAtMs: nowMs + 86_400_000 }
    const nothing = { kind: 'profile', market: 'main', key: '', seq: 1, ...times, content: null } as const
    expect(() => openFeedback(sealRecord(nothing, person()).bytes, { nowMs })).toThrow(
      expect.objectContaining({ code: 'not-feedback' })
    )
  })
})
