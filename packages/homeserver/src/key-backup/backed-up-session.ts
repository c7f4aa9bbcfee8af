import { isObject } from '../matrix/json.ts'

/** One session of a backup. Client-server API, "Server-side key backups", `KeyBackupData`. */
export type BackedUpSession = {
  first_message_index: number
  forwarded_count: number
  is_verified: boolean
  /** Means something to clients alone. */
  session_data: Record<string, unknown> | string
}

/** Whether `value` is one. */
export function isBackedUpSession(value: unknown): value is BackedUpSession {
  if (!isObject(value)) return false
  const { first_message_index: index, forwarded_count: forwarded, is_verified: verified, session_data: data } = value
  return (
    isCount(index) &&
    isCount(forwarded) &&
    typeof verified === 'boolean' &&
    (isObject(data) || typeof data === 'string')
  )
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0

type Quality = Pick<BackedUpSession, 'first_message_index' | 'forwarded_count' | 'is_verified'>

/**
 * Whether a key that comes in takes the place of the one that is kept: verified before unverified, then the one that opens more
 * messages, then the one that went through fewer hands. `PUT /room_keys/keys/{roomId}/{sessionId}`.
 */
export function isBetterSession(fresh: Quality, kept: Quality): boolean {
  if (fresh.is_verified !== kept.is_verified) return fresh.is_verified
  if (fresh.first_message_index !== kept.first_message_index)
    return fresh.first_message_index < kept.first_message_index
  return fresh.forwarded_count < kept.forwarded_count
}
