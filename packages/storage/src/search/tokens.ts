import { tokenCharsMax, tokensMax } from './limits.ts'

/** Cuts text into the terms that are indexed and asked for. The same text gives the same terms everywhere. */
export type Tokenizer = (text: string) => string[]

/** Letters that have a common plain form and no decomposition. */
const plainForms: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ı: 'i'
}

const word = /[\p{L}\p{N}\p{M}]+/gu
const asciiOnly = /^[\u0020-\u007e]*$/
const plainLetters = /[ßæœøłđðþı]/g
const accents = /[\u0300-\u036f]/g

/** Scripts written without spaces: pairs of characters stand for words. */
const pairedScripts = /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\u30fc]+$/u
/** Scripts written without spaces that the platform's dictionary cuts. */
const segmentedScripts = /^[\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]+$/u
const runs =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\u30fc]+|[\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]+|[^\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\u30fc\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]+/gu

/** The platform's dictionaries are loaded when a text first needs them. */
export function createTokenizer(): Tokenizer {
  let segmenter: Intl.Segmenter | undefined
  const segments = (run: string): string[] => {
    segmenter ??= new Intl.Segmenter('th', { granularity: 'word' })
    return Array.from(segmenter.segment(run), ({ segment }) => segment)
  }
  return (text) => {
    const words = fold(text).match(word) ?? []
    const tokens = words.flatMap((one) => (asciiOnly.test(one) ? [one] : termsOf(one, segments)))
    return tokens.slice(0, tokensMax).map((token) => token.slice(0, tokenCharsMax))
  }
}

/** Lower case, compatibility forms, without accents: `Ｃafé` and `CAFÉ` are `cafe`. */
export function fold(text: string): string {
  if (asciiOnly.test(text)) return text.toLowerCase()
  const bare = text.normalize('NFKD').toLowerCase().replace(accents, '')
  return bare.normalize('NFC').replace(plainLetters, (letter) => plainForms[letter] ?? letter)
}

function termsOf(one: string, segments: (run: string) => string[]): string[] {
  return (one.match(runs) ?? []).flatMap((run) => {
    if (pairedScripts.test(run)) return pairs(Array.from(run))
    return segmentedScripts.test(run) ? segments(run) : [run]
  })
}

/** `東京都` gives `東京` and `京都`; a single character stays. */
function pairs(characters: readonly string[]): string[] {
  if (characters.length === 1) return [...characters]
  return characters.slice(1).map((character, index) => `${characters[index]}${character}`)
}
