/** Bounds of search, with their reasons. */

/** Terms of one text: a description of 8,000 characters has about 1,500. */
export const tokensMax = 2000

/** Longer runs of letters are no words; a cut one is still found by its start. */
export const tokenCharsMax = 48

/** What a person types. */
export const queryCharsMax = 256
export const queryTermsMax = 16

/** Hits of one page. */
export const hitsMax = 200

/** How deep pages go, and how far matches are counted: nobody reads on, and counting a million costs 100 ms. */
export const countedMax = 10_000

/** When every term stands in more documents than this, the newest come first: ranking them all costs 71 ms, not 10. */
export const rankedMax = 10_000

/** Words in this range of lengths are corrected: shorter ones have too many neighbours, longer ones are no words. */
export const typoCharsMin = 4
export const typoCharsMax = 24

/** Corrections tried for one unknown word, the most frequent ones. */
export const correctionsMax = 3

/** Terms remembered as entered: most words of a market's listings, about 1 MB. */
export const termsLearntMax = 10_000

/** Words looked at to learn how common a beginning is. */
export const prefixWordsMax = 200

/** Changes sent to the index at once: reading them costs the main thread a tenth of a millisecond each. */
export const feedMax = 200

/** Changes just made that are kept until the index takes them, to spare reading them again: so many, and so many bytes of records. */
export const recentMax = 2000
export const recentBytesMax = 4 * 1024 * 1024

/** Pages of SQLite's cache, in KiB: a query on 100,000 listings touches about 2 MB. */
export const cacheKib = 4096

/** JavaScript heap of the worker, in MiB: the largest result list and its sorting need about 30. */
export const heapMb = 64
export const youngHeapMb = 8

/** Times a worker is started again at once after it died; then the index is made anew. */
export const restartsMax = 3
