/** The formats we decode at all; each is named to libvips too, where everything else stays blocked. */
export type PhotoFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif'

/** Which format the first bytes claim, or undefined: SVG, PDF, HTML, TIFF and the rest never reach a decoder. */
export function formatOf(bytes: Uint8Array): PhotoFormat | undefined {
  if (startsWith(bytes, 0, [0xff, 0xd8, 0xff])) return 'jpeg'
  if (startsWith(bytes, 0, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])) return 'png'
  if (startsWith(bytes, 0, ascii('RIFF')) && startsWith(bytes, 8, ascii('WEBP'))) return 'webp'
  if (startsWith(bytes, 0, ascii('GIF8'))) return 'gif'
  if (startsWith(bytes, 4, ascii('ftypavif'))) return 'avif'
  return undefined
}

function startsWith(bytes: Uint8Array, from: number, expected: number[]): boolean {
  return expected.every((byte, at) => bytes[from + at] === byte)
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0))
}
