import { kindLimits } from '@souk/records'

const minute = 60_000
const day = 24 * 60 * minute

/** The bound of its kind: eight installations with a few addresses each. */
export const presenceBytesMax: number = kindLimits.presence.bytesMax

/** As long as the DHT keeps a value; an address that nobody has renewed for two days is as good as none. */
export const presenceLifeMs: number = kindLimits.presence.lifeMsMax

/** A value is put again daily: peers near its key come and go, and half its life is left when one put fails. */
export const renewEveryMs = day

/** After a put that no replica has taken; four times as long each time up to {@link lookEveryMs}. */
export const retryFirstMs = 1_000

/** How often it is looked whether a put is due: a clock that slept is caught up with. */
export const lookEveryMs: number = 15 * minute

/** One look-up; it is on the way of a letter, which has relays to go to instead. */
export const lookUpTimeoutMs = 5_000

/** One put, which nobody waits for: it asks the peers nearest the key, one of which may have gone. */
export const putTimeoutMs = 30_000

/** An answer, or that there is none, is good for so long: letters to one person come in numbers. */
export const foundForMs: number = 1 * minute

/** People whose answers are remembered. About 1 kB each. */
export const foundMax = 200
