import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { Store, Tx } from '../storage/store.ts'

/** A remote user's keys, as JSON text, since they are only passed on; `deviceKeys` in UTF-8. */
type RemoteUserKeys = { deviceKeys: Buffer; masterKey: string | null; selfSigningKey: string | null }

/** What our users' devices need of device lists: who is to be told, and what is known of other servers' users. */
type Lists = {
  deviceChanged(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void>
  signingKeysChanged(tx: Tx, userId: UserId): Promise<void>
  noticeTo(tx: Tx, requester: UserId, userId: UserId): Promise<void>
  remoteKeys(
    requester: UserId,
    userIds: readonly UserId[],
    waitMs: number,
  ): Promise<{
    users: Map<UserId, RemoteUserKeys>
    failures: Map<ServerName, { status: number; message: string }>
  }>
  remoteMasterKey(userId: UserId): Promise<string | null>
  /** A remote server had no key to give for these devices of its user. */
  claimOmitted(userId: UserId, deviceIds: readonly string[]): Promise<void>
}

/** What every part of this feature is built with. */
export type DeviceParts = {
  store: Store
  clock: Clock
  random: Random
  serverName: ServerName
  lists: Lists
  request(destination: ServerName, request: FederationRequest): Promise<FederationAnswer>
}
