/** Bounds and defaults of the command line, each with its reason. */

/** Where the API listens when nothing else is said and nobody has it: an address that can be bookmarked. */
export const apiPortDefault = 4810

/** `sun_path` has 108 bytes on Linux and 104 elsewhere, its end included; a longer home goes without the socket. */
export const socketPathBytesMax = 103

/** A call that takes longer is given up; the slowest honest ones fetch ratings from the network. */
export const callTimeoutSeconds = 120

/** How long an order is waited for unless told otherwise: people answer within the hour, scripts say their own. */
export const waitTimeoutSeconds = 3600

/** A daemon that runs answers this from memory; one that died refuses at once. */
export const aliveTimeoutMs = 1_000

/** Ctrl-C under npm arrives two or three times; only one this much later means that the person has had enough. */
export const secondSignalAfterMs = 2_000

/** A clean stop takes well under a second; what hangs longer is cut off, which the store survives. */
export const stopTimeoutMs = 20_000

/** Bytes of a passphrase file or descriptor that are read at most. */
export const passphraseBytesMax = 4 * 1024

/** Short passphrases fall to a stolen file and a weekend. */
export const passphraseCharsMin = 8

/** A generated passphrase: 256 bits, so that the keystore is as hard as its key. */
export const passphraseRandomBytes = 32

/** Files that hold listings or configuration; a thousand long listings have 8 MB. */
export const inputBytesMax = 16 * 1024 * 1024

/** Photographs larger than this are refused by the node; said here before they are sent. */
export const photoBytesMax = 40 * 1024 * 1024

/** Columns of a table that goes to a terminal which does not say how wide it is. */
export const terminalColumns = 100

/** A table's text column gives way down to this many cells. */
export const columnCellsMin = 8

/** Days until goods are handed over and under way, unless the seller says otherwise. */
export const handlingDaysDefault = 2
export const transitDaysDefault = 5

/** Listings of an import under way at once: enough to share each write, few enough for their photographs. */
export const importedAtOnce = 8

/** Garbage that a node or relay keeps before it is collected, in % of what is alive: V8's own choice is up to 300. */
export const heapGrowthPercent = 30
