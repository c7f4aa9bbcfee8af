import type { KeyObject } from 'node:crypto'
import type { RoomEvent } from '../matrix/events.ts'
import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import type { Clock } from '../platform/clock.ts'
import type { Logger } from '../platform/logger.ts'
import type { Random } from '../platform/random.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import type { Db, Store, Tx } from '../storage/store.ts'
import type { Events } from './events.ts'
import type { States } from './states.ts'
import type { Versions } from './versions.ts'

/** What the other features do about what happens in rooms. All but `wakeSender` is part of the event's own transaction. */
type RoomWatchers = {
  /** Remote users with whom a room is shared from now on. */
  startTracking(tx: Tx, userIds: readonly UserId[]): Promise<void>
  /** Remote users with whom no room is shared any more. */
  stopTracking(tx: Tx, userIds: readonly UserId[]): Promise<void>
  /** Our users whose devices these servers have to be told of, since they are in a room together from now on. */
  serversJoined(tx: Tx, userIds: readonly UserId[], servers: readonly ServerName[]): Promise<void>
  /** One of our users has joined the room that a room was upgraded to. */
  succeeded(tx: Tx, userId: UserId, succession: Succession): Promise<void>
  /** Events that clients are shown, in order. */
  eventsAdded(tx: Tx, events: readonly AddedEvent[]): Promise<void>
  /** Called after the commit, with the destinations that are owed something. */
  wakeSender(destinations: readonly ServerName[]): void
}

/** A room, and the one that it was upgraded to. */
type Succession = { from: RoomId; to: RoomId }

/** Other servers, as rooms ask them. Never from inside a transaction. */
export type RemoteServers = {
  /** Makes a signed request. Whatever becomes of it is a value. */
  request(destination: ServerName, request: FederationRequest): Promise<FederationAnswer>
  /** Whether the settings let us talk to this server. */
  isAllowed(serverName: ServerName): boolean
  /** The key that an event is signed with, our own too. @param originServerTs epoch ms */
  keyForEvent(
    serverName: ServerName,
    keyId: string,
    originServerTs: number,
    enforceValidity: boolean,
  ): Promise<{ key: KeyObject } | undefined>
}

/** Our users, as far as their membership of rooms depends on it. */
type LocalUsers = {
  /** Whether there is such an account, not closed. */
  exists(userId: UserId): Promise<boolean>
  /** Which of them are guests. */
  guestsAmong(db: Db, userIds: readonly UserId[]): Promise<UserId[]>
  /** Whether a user wants no invitations. Client-server API, "Invite permission". */
  blocksInvites(userId: UserId): Promise<boolean>
}

type AddedEvent = { event: RoomEvent; version: RoomVersion; position: number }

/** What every part of rooms is built with. */
export type RoomParts = {
  store: Store
  clock: Clock
  random: Random
  log: Logger
  serverName: ServerName
  signingKey: SigningKey
  events: Events
  states: States
  versions: Versions
  watchers: RoomWatchers
  remote: RemoteServers
  localUsers: LocalUsers
  /** What goes into the membership events of one of our users; nothing for others. */
  profileOf(userId: UserId): Promise<{ displayname?: string; avatar_url?: string }>
}
