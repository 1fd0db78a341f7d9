import { readFile, realpath } from 'node:fs/promises'
import { extname, join, resolve, sep } from 'node:path'

/** A file of the user interface. */
export interface StaticFile {
  readonly body: Uint8Array<ArrayBuffer>
  readonly type: string
}

/** What is served; a file of any other kind is not there. */
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json'
}

/**
 * Reads files below a folder and nowhere else, links followed. A path that names no file of a kind above is a page of
 * the application (`/listing/electronics.5f0c`), which finds its own way from `index.html`.
 *
 * @returns Takes the path of a URL, still percent-encoded; gives `undefined` for what is not there.
 */
export function createFileReader(directory: string): (path: string) => Promise<StaticFile | undefined> {
  const root = resolve(directory)
  return async (path) => {
    const name = decode(path)
    if (name === undefined) return undefined
    const type = types[extname(name)]
    return type === undefined ? readTyped(root, '/index.html') : readTyped(root, name)
  }
}

async function readTyped(root: string, name: string): Promise<StaticFile | undefined> {
  try {
    const file = await realpath(join(root, name))
    const type = types[extname(file)]
    if (type === undefined || !file.startsWith((await realpath(root)) + sep)) return undefined
    return { body: new Uint8Array(await readFile(file)), type }
  } catch {
    return undefined
  }
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
