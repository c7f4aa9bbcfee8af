import type { RoomId, UserId } from '../matrix/ids.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { type AliasResolver, createAliasResolver } from './alias-resolver.ts'
import { type Aliases, createAliases } from './aliases.ts'
import { createRoom } from './create.ts'
import type { RoomWish } from './creation.ts'
import { createEvents } from './events.ts'
import { createIncoming, type Incoming } from './incoming/incoming.ts'
import { createMembers, type Members } from './members.ts'
import { createOutgoingEvents, type OutgoingEvents } from './outgoing.ts'
import type { RoomParts } from './ports.ts'
import { createPublicRooms, type PublicRooms } from './public-rooms.ts'
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
  reading: Reading
  reports: Reports
  syncSource: SyncSource
  incoming: Incoming
  outgoing: OutgoingEvents
  serving: Serving
}

export function createRooms(given: Omit<RoomParts, 'events' | 'states' | 'versions'>): Rooms {
  const parts: RoomParts = { ...given, events: createEvents(), states: createStates(), versions: createVersions() }
  const writer = createRoomWriter(parts)
  const aliasResolver = createAliasResolver(parts)
  const acl = createServerAcl(parts)
  return {
    create: (creator, version, wish) => createRoom(parts, writer, creator, version, wish),
    speaking: createSpeaking(parts, writer, createStateCheck(parts, aliasResolver.resolve)),
    members: createMembers(parts, writer),
    directory: { ...createPublicRooms(parts, writer), ...createRemoteDirectory(parts) },
    aliases: { ...createAliases(parts, writer), ...aliasResolver },
    spaces: createSpaces(parts, aliasResolver),
    reading: createReading(parts),
    reports: createReports(parts),
    syncSource: createSyncSource(parts),
    acl,
    incoming: createIncoming(parts, writer, acl),
    outgoing: createOutgoingEvents(parts),
    serving: createServing(parts, acl),
  }
}
