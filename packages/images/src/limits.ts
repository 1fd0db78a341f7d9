/** Largest block that is ever read, sent or accepted: one image is one block, and 1 MiB fits every IPFS tool. */
export const blockBytesMax = 1_048_576

/** Longest side of a published image: sharp on a 1600-px wide screen, 100 kB from a 3.1 MB photograph (measured). */
export const imageSideMax = 1600

/** Longest side of a thumbnail: a card of 160 CSS px on a display of density two. */
export const thumbnailSideMax = 320

/** Largest thumbnail; 320 px at the lowest quality we go to stays far below. */
export const thumbnailBytesMax = 65_536

/** Longest side thumbhash takes (its own precondition). */
export const thumbhashSideMax = 100

/** Largest file a user may drop: a 50-MP phone JPEG is 25 MB. */
export const photoBytesMax = 33_554_432

/** Most pixels a user's photograph may decode to: 64 MP is 192 MB of RGB, in a process that ends afterwards. */
export const photoPixelsMax = 64_000_000

/** Most pixels a received image may claim: it has to respect {@link imageSideMax} on both sides. */
export const receivedPixelsMax = imageSideMax * imageSideMax

/** WebP qualities tried in turn until a picture fits its bytes; 80 is visually clean, below 30 shows blocks. */
export const qualities = [80, 70, 60, 45, 30] as const

/** When no quality fits, the sides are multiplied by this and the qualities tried again. */
export const shrinkFactor = 0.75

/** A decode that takes longer is killed: 12 MP take 0.5 s, 64 MP about 3 s on one slow core. */
export const decodeTimeoutMs = 20_000

/** The decoder process ends after this much idleness, and gives its memory back. */
export const decoderIdleMs = 15_000

/** Jobs that may wait for the decoder: a listing has at most a dozen photographs. */
export const decoderWaitingMax = 32

/** Heap of the decoder's JavaScript; pixels live outside it. */
export const decoderHeapMb = 96

/** EXIF directory entries looked at: cameras write about 60. */
export const exifEntriesMax = 512

/** Longest camera name told to the user. */
export const cameraCharactersMax = 64

/** Blocks asked of peers at once: 32 half-open streams exhaust a peer (measured), so a quarter of that. */
export const fetchesMax = 8

/** Fetches that may wait for a place: a grid of sixty cards with images, twice over. */
export const fetchesWaitingMax = 256

/** How long one provider may take, dialling included: a relayed dial is about 1 s, 1 MiB over 3G about 4 s. */
export const providerTimeoutMs = 5_000

/** Providers asked for one block: the seller and the mirrors of a listing. */
export const providersMax = 8

/** How long bitswap may take after all providers failed. */
export const bitswapTimeoutMs = 10_000

/** How long an asker has from its question to the end of its stream. */
export const serveTimeoutMs = 20_000

/** How long a finished stream may linger before it is reset. */
export const lingerMs = 1_000

/** Inbound block streams on one connection: what an honest peer's {@link fetchesMax} needs. */
export const serveStreamsMax = 8

/** Bytes of answers in progress over all peers: about 300 images of ordinary size, and what it costs in memory. */
export const servingBytesMax = 33_554_432

/** What a peer may take at once: about 300 images of ordinary size. */
export const peerBurstBytes = 33_554_432

/** What a peer may take each second after its burst. */
export const peerBytesPerSecond = 4_194_304

/** What all peers together may take at once, so that a thousand free identities gain nothing. */
export const allBurstBytes = 134_217_728

/** What all peers together may take each second: a fifth of a 100 Mbit/s line's worth of a desktop node, doubled. */
export const allBytesPerSecond = 8_388_608

/** Least cost of an answer, so that small questions are limited too (256 a second). */
export const answerBytesMin = 16_384

/** Peers whose allowance is remembered; the one unused for longest is forgotten first. */
export const peersMax = 1_024

/** Default room for other people's images: about 10,000 of them. */
export const cacheBytesMax = 1_073_741_824

/** Default room for pinned images: own ones, and those an order still needs. */
export const pinnedBytesMax = 4_294_967_296

/** Eviction goes on to this share of the bound, so that it does not run at every image. */
export const evictTo = 0.9

/** A block's last use is written at most this often: reading must not cost a write each time. */
export const touchIntervalMs = 3_600_000

/** Longest name of a pin's owner, such as `listing/<cid>`. */
export const ownerCharactersMax = 256
