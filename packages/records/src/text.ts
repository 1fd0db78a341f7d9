/**
 * Text from people, as it may travel: NFC, no control characters, no bidirectional overrides (which make a listing
 * read otherwise than it is stored), never HTML. Line breaks and tabs are allowed where a text has lines.
 */

// Control characters; line and paragraph separators; bidirectional overrides and isolates; the byte order mark, which
// decoders drop or keep as they please; the two noncharacters that end a plane.
const forbiddenInLine =
  // eslint-disable-next-line no-control-regex -- control characters are exactly what this looks for
  /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/
const forbiddenInText =
  // eslint-disable-next-line no-control-regex -- as above, less tab and line feed
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/

/** True for one line of clean text, without white space at its ends. */
export function isCleanLine(text: string): boolean {
  return !forbiddenInLine.test(text) && text === text.trim() && isComposed(text)
}

/** True for clean text of several lines. */
export function isCleanText(text: string): boolean {
  return !forbiddenInText.test(text) && isComposed(text)
}

/** Makes a person's input clean: normalised, line ends unified, forbidden characters dropped, trimmed. */
export function cleanText(text: string): string {
  return Array.from(text.replace(/\r\n?|[\u2028\u2029]/g, '\n'))
    .filter((character) => character.isWellFormed() && !forbiddenInText.test(character))
    .join('')
    .normalize('NFC')
    .trim()
}

/** Whole surrogate pairs, in NFC. */
function isComposed(text: string): boolean {
  return text.isWellFormed() && text === text.normalize('NFC')
}
