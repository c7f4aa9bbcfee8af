import type { UserId } from '../matrix/ids.ts'

/** Who makes a client request: the account and device that the access token belongs to. */
export type Requester = { userId: UserId; deviceId: string; isGuest: boolean; isAdmin: boolean }
