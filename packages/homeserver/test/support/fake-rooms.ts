import type { EphemeralRooms } from '../../src/ephemeral/ports.ts'
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'

/** Rooms that a test fills by hand, as one server sees them. */
export type FakeRooms = EphemeralRooms & {
  /** Makes a room of these members. */
  room(roomId: string, ...members: string[]): RoomId
  /** Adds events to a room, in this order; `thread` is the root of the thread that they are in. */
  events(roomId: RoomId, eventIds: readonly string[], thread?: string): void
  leave(roomId: RoomId, userId: string): void
  /** Lets a server no longer into a room. */
  deny(roomId: RoomId, server: string): void
}

export function createFakeRooms(serverName: ServerName): FakeRooms {
  const rooms = new Map<RoomId, Set<UserId>>()
  const events = new Map<string, { position: number; thread: EventId | 'main' }>()
  const denied = new Set<string>()
  let positions = 0
  const company = (userId: UserId) =>
    new Set([...rooms.values()].filter((members) => members.has(userId)).flatMap((members) => [...members]))

  return {
    room(roomId, ...members) {
      rooms.set(roomId as RoomId, new Set(members as UserId[]))
      return roomId as RoomId
    },
    events(roomId, eventIds, thread = 'main') {
      for (const id of eventIds) events.set(`${roomId} ${id}`, { position: ++positions, thread: thread as 'main' })
    },
    leave: (roomId, userId) => void rooms.get(roomId)?.delete(userId as UserId),
    deny: (roomId, server) => void denied.add(`${roomId} ${server}`),

    isJoined: async (_db, roomId, userId) => rooms.get(roomId)?.has(userId) ?? false,
    async otherServers(_db, roomId) {
      const servers = new Set([...(rooms.get(roomId) ?? [])].map(serverNameOf))
      servers.delete(serverName)
      return [...servers]
    },
    eventPosition: async (_db, roomId, eventId) => events.get(`${roomId} ${eventId}`),
    threadOf: async (_db, roomId, eventId) => events.get(`${roomId} ${eventId}`)?.thread,
    isDenied: async (roomId, server) => denied.has(`${roomId} ${server}`),
    async sharing(_db, userId, others) {
      const there = company(userId)
      return new Set(others.filter((other) => other !== userId && there.has(other)))
    },
    async localUsers(_db, userIds) {
      const there = userIds.flatMap((userId) => [...company(userId)].filter((member) => member !== userId))
      return [...new Set(there.filter((member) => serverNameOf(member) === serverName))]
    },
    async servers(_db, userId) {
      const servers = new Set([...company(userId)].map(serverNameOf))
      servers.delete(serverName)
      return [...servers]
    },
  }
}
