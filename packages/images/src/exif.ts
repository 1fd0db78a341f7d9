import { cameraCharactersMax, exifEntriesMax } from './limits.ts'

/** What the EXIF block of a photograph gives away. */
export interface ExifSummary {
  hasGps: boolean
  /** Maker and model as the camera wrote them, printable ASCII only. */
  camera?: string
}

const gpsPointer = 0x8825
const make = 0x010f
const model = 0x0110
const asciiType = 2

/**
 * Reads the first directory (IFD0) of an EXIF block and nothing else. Never throws: what is malformed reads as absent.
 *
 * @param exif - Either a bare TIFF structure or one after `Exif\0\0` (EXIF 2.32, section 4.5).
 */
export function summariseExif(exif: Uint8Array): ExifSummary {
  const tiff = exif[0] === 0x45 && exif[1] === 0x78 ? exif.subarray(6) : exif
  const entries = [...directory(tiff)]
  const names = [make, model].map((tag) =>
    textOf(
      tiff,
      entries.find((entry) => entry.tag === tag)
    )
  )
  const camera = names
    .filter((name) => name !== '')
    .join(' ')
    .slice(0, cameraCharactersMax)
  return { hasGps: entries.some((entry) => entry.tag === gpsPointer), ...(camera === '' ? {} : { camera }) }
}

interface Entry {
  tag: number
  type: number
  count: number
  /** Where the value stands; a value of four bytes or fewer stands in the entry itself. */
  at: number
}

function* directory(tiff: Uint8Array): Generator<Entry> {
  const little = tiff[0] === 0x49
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  if (tiff.length < 10) return
  const start = view.getUint32(4, little)
  if (start + 2 > tiff.length) return
  const count = Math.min(view.getUint16(start, little), exifEntriesMax)
  for (let at = start + 2; at < start + 2 + count * 12; at += 12) {
    if (at + 12 > tiff.length) return
    const values = view.getUint32(at + 4, little)
    const inline = values <= 4
    yield {
      tag: view.getUint16(at, little),
      type: view.getUint16(at + 2, little),
      count: values,
      at: inline ? at + 8 : view.getUint32(at + 8, little)
    }
  }
}

function textOf(tiff: Uint8Array, entry: Entry | undefined): string {
  if (entry === undefined || entry.type !== asciiType) return ''
  const bytes = tiff.subarray(entry.at, entry.at + Math.min(entry.count, cameraCharactersMax))
  return [...bytes]
    .filter((byte) => byte >= 0x20 && byte < 0x7f)
    .map((byte) => String.fromCharCode(byte))
    .join('')
    .trim()
}
