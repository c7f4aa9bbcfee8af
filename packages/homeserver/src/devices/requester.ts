import type { UserId } from '../matrix/ids.ts'

/** Who makes a client request: the account and device that the access token belongs to. */
export type Requester = {
  userId: UserId
  deviceId: string
  isGuest: boolean
  isAdmin: boolean
  /** An admin keeps them from using the account. Client-server API, "Account locking". */
  isLocked: boolean
  /** An admin keeps them from doing what others see. Client-server API, "Account suspension". */
  isSuspended: boolean
}
