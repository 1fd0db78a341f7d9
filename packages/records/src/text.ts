/**
 * Text from people, as it may travel: NFC, no control characters, no bidirectional overrides (which make a listing
 * read otherwise than it is stored), never HTML. Line breaks and tabs are allowed where a text has lines.
 */

// eslint-disable-next-line no-control-regex -- control characters are exactly what this looks for
const forbiddenInLine = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Surrogate}/u
// eslint-disable-next-line no-control-regex -- as above, less tab and line feed
const forbiddenInText = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Surrogate}/u

/** True for one line of clean text. */
export function isCleanLine(text: string): boolean {
  return !forbiddenInLine.test(text) && text === text.normalize('NFC')
}

/** True for clean text of several lines. */
export function isCleanText(text: string): boolean {
  return !forbiddenInText.test(text) && text === text.normalize('NFC')
}

/** Makes a person's input clean: normalised, line ends unified, forbidden characters dropped, trimmed. */
export function cleanText(text: string): string {
  const lines = text.normalize('NFC').replace(/\r\n?/g, '\n')
  return Array.from(lines)
    .filter((character) => !forbiddenInText.test(character))
    .join('')
    .trim()
}
