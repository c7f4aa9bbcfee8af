import type { RoomEvent } from '../matrix/events.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import type { Db } from '../storage/store.ts'
import { type AliasResolver, createAliasResolver } from './alias-resolver.ts'
import { type Aliases, createAliases } from './aliases.ts'
import { createBackfill } from './backfill/backfill.ts'
import { createEventElsewhere } from './backfill/event-elsewhere.ts'
import { createRoom } from './create.ts'
import type { RoomWish } from './creation.ts'
import { createEvents } from './events.ts'
import { createIncoming, type Incoming } from './incoming/incoming.ts'
import { createMembers, type Members } from './members.ts'
import { seeGuestsOut } from './membership/guest-access.ts'
import { createOutgoingEvents, type OutgoingEvents } from './outgoing.ts'
import { withPolicyServers } from './policy-writer.ts'
import type { RoomParts } from './ports.ts'
import { createPublicRooms, type PublicRooms } from './public-rooms.ts'
import { createPushFacts, type RoomPushFacts } from './push-facts.ts'
import { createReading, type Reading } from './reading.ts'
import { createRemoteDirectory, type RemoteDirectory } from './remote-directory.ts'
import { createReports, type Reports } from './reports.ts'
import { createServerAcl, type ServerAcl } from './server-acl.ts'
import { createServing, type Serving } from './serving.ts'
import { createSpaces, type Spaces } from './spaces/spaces.ts'
import { createSpeaking, type Speaking } from './speaking.ts'
import { createStateCheck } from './state-checks.ts'
import { createStates } from './states.ts'
import { createSyncSource, type SyncSource } from './sync-source.ts'
import { createUpgrading, type Upgrading } from './upgrade.ts'
import { createUserDirectory, type UserDirectory } from './user-directory.ts'
import { createVersions } from './versions.ts'
import { createRoomWriter } from './writable-room.ts'

/** Everything the rest of the server sees of rooms: an object for each part. */
export type Rooms = {
  /** Makes a room, without inviting anybody yet. See `create.ts`. */
  create(creator: UserId, version: RoomVersion, wish: RoomWish & { publish: boolean }): Promise<RoomId>
  speaking: Speaking
  members: Members
  acl: ServerAcl
  aliases: Aliases & AliasResolver
  directory: PublicRooms & RemoteDirectory
  spaces: Spaces
  upgrade: Upgrading
  userDirectory: UserDirectory
  reading: Reading
  reports: Reports
  syncSource: SyncSource
  incoming: Incoming
  /** What push rules ask about an event that is being added. */
  pushFacts(db: Db, event: RoomEvent, version: RoomVersion): Promise<RoomPushFacts>
  outgoing: OutgoingEvents
  serving: Serving
}

export function createRooms(given: Omit<RoomParts, 'events' | 'states' | 'versions'>): Rooms {
  const parts: RoomParts = {
    ...given,
    events: createEvents(given.store),
    states: createStates(),
    versions: createVersions(),
  }
  const writer = withPolicyServers(
    parts,
    createRoomWriter(parts, (room, before) => seeGuestsOut(parts, room, before)),
  )
  const aliasResolver = createAliasResolver(parts)
  const acl = createServerAcl(parts)
  return {
    create: (creator, version, wish) => createRoom(parts, writer, creator, version, wish),
    speaking: createSpeaking(parts, writer, createStateCheck(parts, aliasResolver.resolve)),
    members: createMembers(parts, writer, acl, aliasResolver.resolve),
    directory: { ...createPublicRooms(parts, writer), ...createRemoteDirectory(parts) },
    aliases: { ...createAliases(parts, writer), ...aliasResolver },
    spaces: createSpaces(parts, aliasResolver),
    reading: createReading(parts, {
      backfill: createBackfill(parts, writer),
      elsewhere: createEventElsewhere(parts, writer),
    }),
    upgrade: createUpgrading(parts, writer),
    userDirectory: createUserDirectory(parts),
    reports: createReports(parts),
    syncSource: createSyncSource(parts),
    acl,
    incoming: createIncoming(parts, writer, acl),
    pushFacts: createPushFacts(parts),
    outgoing: createOutgoingEvents(parts),
    serving: createServing(parts, acl),
  }
}
