/** What decides whether a relay should get new peers. */
export interface Readiness {
  readonly draining: boolean
  readonly storage: 'ok' | 'read-only'
  /** Addresses listened on. */
  readonly addresses: number
}

/** Why it should not, a line each; empty when it should. */
export function unreadyReasons({ draining, storage, addresses }: Readiness): string[] {
  const reasons: string[] = []
  if (draining) reasons.push('draining')
  if (storage !== 'ok') reasons.push('read-only: the disk is full')
  if (addresses === 0) reasons.push('listening nowhere')
  return reasons
}
