import type { SoukNode } from './node.ts'

/**
 * Looks now and again after each event of a node, until there is an answer: what a program waits for happens on other
 * machines, and comes when it comes.
 *
 * @param look - Answers `undefined` or `false` while it is not there yet; its errors pass through.
 * @param options.signal - Ends the waiting with its reason; without it, this may wait for ever.
 * @throws `AbortError` when the node closes first.
 */
export async function until<T>(
  node: Pick<SoukNode, 'events'>,
  look: () => Promise<T | undefined | false>,
  options: { readonly signal?: AbortSignal } = {}
): Promise<T> {
  const over = new AbortController()
  const signal = options.signal === undefined ? over.signal : AbortSignal.any([options.signal, over.signal])
  // Listening starts before the first look, so that nothing falls between the two.
  const events = node.events({ signal })[Symbol.asyncIterator]()
  try {
    for (;;) {
      const found = await look()
      if (found !== undefined && found !== false) return found
      if (!(await events.next()).done) continue
      signal.throwIfAborted()
      throw new DOMException('the node closed', 'AbortError')
    }
  } finally {
    over.abort()
  }
}
