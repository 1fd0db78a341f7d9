import { typoCharsMax, typoCharsMin } from './limits.ts'

const letters = /^[\p{sc=Latin}\p{sc=Cyrillic}\p{sc=Greek}\p{sc=Armenian}\p{sc=Hebrew}\p{sc=Arabic}]+$/u

/** True for what may be a misspelt word. Numbers and model names are what they are. */
export function isCorrectable(term: string): boolean {
  return term.length >= typoCharsMin && term.length <= typoCharsMax && letters.test(term)
}

/**
 * The term and all terms with one character less. Two terms that are one insertion, deletion, substitution or
 * transposition apart have one of these in common (SymSpell, W. Garbe, 2012).
 */
export function deletionsOf(term: string): string[] {
  const shorter = Array.from(term, (_, index) => term.slice(0, index) + term.slice(index + 1))
  return [...new Set([term, ...shorter])]
}

/** True when one insertion, deletion, substitution or transposition of neighbours leads from one to the other. */
export function isOneEditApart(a: string, b: string): boolean {
  if (a === b || Math.abs(a.length - b.length) > 1) return false
  const [short, long] = a.length <= b.length ? [a, b] : [b, a]
  let at = 0
  while (at < short.length && short[at] === long[at]) at++
  if (short.length !== long.length) return short.slice(at) === long.slice(at + 1)
  if (short.slice(at + 1) === long.slice(at + 1)) return true
  return short[at] === long[at + 1] && short[at + 1] === long[at] && short.slice(at + 2) === long.slice(at + 2)
}
