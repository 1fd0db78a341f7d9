import type { Libp2pInit } from 'libp2p'

/**
 * QUIC, where somebody listens on it and its binary loads on this machine; none otherwise. Only on request: it reads
 * streams whether anybody wants their bytes or not, and its handshakes pass in threads of its own, out of the sight of
 * most of what the guard limits (docs/decisions/0301).
 *
 * @param listen - Addresses as they were asked for.
 */
export async function quicFor(listen: readonly string[]): Promise<NonNullable<Libp2pInit['transports']>> {
  if (!listen.some(isQuic)) return []
  try {
    const { quic } = await import('@chainsafe/libp2p-quic')
    return [quic({ maxConcurrentStreamLimit: streamsMax })]
  } catch {
    // No binary for this platform: the other addresses remain.
    return []
  }
}

/** What can be listened on: without the transport, its addresses would keep the host from starting. */
export function withoutQuic(listen: readonly string[]): string[] {
  return listen.filter((address) => !isQuic(address))
}

function isQuic(address: string): boolean {
  return address.includes('/quic-v1')
}

/** An unread stream holds 4 MiB before libp2p ends it. */
const streamsMax = 32
