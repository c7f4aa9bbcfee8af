/** SQLite's primary result codes for: busy, locked, out of memory, read-only, interrupted, I/O error, disk full, cannot open. */
const SQLITE = new Set([5, 6, 7, 8, 9, 10, 13, 14])
/** PostgreSQL's classes for: connection failure, broken off for another transaction, out of resources, shut down, system error. */
const POSTGRES = /^(08|40|53|57|58)...$/
const BROKEN_CONNECTION = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'])
/** Without a code: what `pg` says of a connection that ended, and Kysely of a database that is closed. */
const BROKEN_OFF = /^Connection terminated|timeout exceeded when trying to connect|driver has already been destroyed/

/**
 * Whether something failed because the database could not do its work just then, rather than because of what it was asked to do:
 * the same may well succeed later. Whoever is not sure gets `false`.
 */
export function isDatabaseFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  // Extended result codes have the primary one in their lowest byte.
  if (code === 'ERR_SQLITE_ERROR') return typeof errcode === 'number' && SQLITE.has(errcode & 0xff)
  if (typeof code === 'string' && (POSTGRES.test(code) || BROKEN_CONNECTION.has(code))) return true
  return BROKEN_OFF.test(error.message)
}
