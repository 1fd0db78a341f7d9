/** Bounds of the local API, each with its reason. */

/** A listing draft with a description of 8,000 characters and twelve images needs about 30 kB. */
export const jsonBytesMax = 256 * 1024

/** A photograph straight from a camera; bound of the node's own pipeline. */
export const uploadBytesMax = 40 * 1024 * 1024

/** A code has 32 characters; nobody has a token yet who sends one. */
export const sessionBytesMax = 4 * 1024

/** A body that trickles holds a socket: browsers on the same machine need milliseconds. */
export const requestTimeoutMs = 30_000
export const headersTimeoutMs = 10_000

/** How late a request that takes too long is noticed; Node's own default would double the time it has. */
export const timeoutsCheckedEveryMs = 1_000

/**
 * Connections of one listener, each a file descriptor that the node's own sockets then lack. The Unix socket counts
 * for itself: who floods the port does not lock the command line out.
 */
export const connectionsMax = 512

/** Requests a second of one token, and the burst: a page that loads sixty thumbnails is one burst. */
export const requestsPerSecond = 100
export const requestsBurst = 400

/** Tokens whose rate is remembered; the one that was quiet longest is forgotten, which gives it a full burst. */
export const bucketsMax = 1_024

/** Wrong tokens cost the caller time, and more each time: guessing 256 bits is hopeless, noise in the log is not. */
export const failedAuthDelayMs = 100
export const failedAuthDelayMsMax = 5_000

/** After a quiet minute the next mistake is a first one again. */
export const failuresForgottenMs = 60_000

/** Callers that wait for their refusal at one time; what comes on top is refused at once. */
export const failuresWaitingMax = 32

/** The code that opens the user interface: once, within a minute. */
export const sessionCodeLifeMs = 60_000
export const sessionCodesMax = 16

/** A page keeps its token in sessionStorage, which a tab left open for a month still has. */
export const sessionLifeMs = 7 * 24 * 60 * 60_000

/** Events kept for clients that come back after a pause. */
export const eventsKept = 1_024

/** A slow reader of events is cut off, not buffered for. */
export const followerBytesMax = 1024 * 1024

/** WebSockets and event streams together: a tab has one, and so has each `souk events`. */
export const followersMax = 64

/** A page sends nothing over its WebSocket. */
export const socketMessageBytesMax = 4 * 1024

/** Lets clients see that an idle event stream lives, and ends those whose token was revoked. */
export const heartbeatMs = 25_000

/** What is under way when the server stops may end within this. */
export const closeGraceMs = 2_000
