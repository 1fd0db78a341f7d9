/**
 * What can go wrong, by stable code:
 *
 * - `locked`: another process, or this one, has the store open;
 * - `open-failed`: the directory cannot be opened or made;
 * - `newer-schema`: written by a later version of this software;
 * - `read-only`: the disk is full; what is already stored can be read;
 * - `damaged`: stored bytes are not what was written;
 * - `limit`: a call above a bound of `limits.ts`;
 * - `bad-argument`: our own caller's mistake;
 * - `search-failed`: the search projection could not answer;
 * - `closed`: a call after the store was closed.
 */
export type StorageErrorCode =
  | 'locked'
  | 'open-failed'
  | 'newer-schema'
  | 'read-only'
  | 'damaged'
  | 'limit'
  | 'bad-argument'
  | 'search-failed'
  | 'closed'

/** The one error of this package. `code` is stable; the message states the value, the bound and the remedy. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
