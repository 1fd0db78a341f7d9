/** Bounds of the local API, each with its reason. */

/** A listing draft with a description of 8,000 characters and twelve images needs about 30 kB. */
export const jsonBytesMax = 256 * 1024

/** A photograph straight from a camera; bound of the node's own pipeline. */
export const uploadBytesMax = 40 * 1024 * 1024

/** A body that trickles holds a socket: browsers on the same machine need milliseconds. */
export const requestTimeoutMs = 30_000

/** Requests a second of one token, and the burst: a page that loads sixty thumbnails is one burst. */
export const requestsPerSecond = 100
export const requestsBurst = 400

/** Wrong tokens cost the caller time, and more each time: guessing 256 bits is hopeless, noise in the log is not. */
export const failedAuthDelayMs = 100
export const failedAuthDelayMsMax = 5_000

/** The code that opens the user interface: once, within a minute. */
export const sessionCodeLifeMs = 60_000
export const sessionCodesMax = 16

/** Events kept for clients that come back after a pause. */
export const eventsKept = 1_024

/** A slow reader of events is cut off, not buffered for. */
export const socketBufferBytesMax = 1024 * 1024
export const socketsMax = 64

/** Lets proxies and clients see that an idle event stream lives. */
export const heartbeatMs = 25_000
