import type { SharedRooms } from '../../src/device-lists/tracking.ts'
import { type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'

/** A user, or whoever has a user ID, such as a client or a remote user. */
export type Member = string | { readonly userId: string }

/** A room that several servers are in. Each change resolves when all servers that run have taken it in. */
export type TestRoom = {
  join(member: Member): Promise<void>
  leave(member: Member): Promise<void>
  /** Everybody leaves. */
  end(): Promise<void>
}

/** Who shares a room with whom, as tests say. */
export type TestRooms = {
  share(members: readonly Member[]): Promise<TestRoom>
  /** Ends the room of exactly these members. */
  unshare(members: readonly Member[]): Promise<void>
  /** The rooms as one server sees them. */
  of(serverName: string): SharedRooms
  /** Tells a server of all changes since it was attached last, and of those to come until the returned function is called. */
  attach(serverName: string, listener: TrackingListener): Promise<() => void>
}

/**
 * Takes in, as one change, remote users with whom a room is no longer shared, then those with whom one is shared now. One who
 * is among both left and came back. Whether a server that died has taken it in is not known.
 */
export type TrackingListener = (started: UserId[], stopped: UserId[]) => Promise<'taken in' | 'died'>

/** What a server has been told: with whom it surely shares a room without a break since, and with whom it may believe to. */
type Told = { surely: Set<UserId>; maybe: Set<UserId> }

export function createTestRooms(): TestRooms {
  const rooms = new Set<Set<UserId>>()
  const listeners = new Map<string, TrackingListener>()
  const told = new Map<string, Told>()

  /** Everybody who is in a room with `userId`, themselves as well. */
  const company = (userId: UserId) =>
    new Set([...rooms].filter((room) => room.has(userId)).flatMap((room) => [...room]))

  function remoteUsersOf(serverName: string): Set<UserId> {
    const shared = [...rooms].filter((room) => [...room].some((member) => serverNameOf(member) === serverName))
    return new Set(shared.flatMap((room) => [...room]).filter((member) => serverNameOf(member) !== serverName))
  }

  async function tell(serverName: string): Promise<void> {
    const before = told.get(serverName) ?? { surely: new Set(), maybe: new Set() }
    const now = remoteUsersOf(serverName)
    const surely = before.surely.intersection(now)
    told.set(serverName, { surely, maybe: before.maybe.union(now) })
    const [started, stopped] = [[...now.difference(surely)], [...before.maybe.difference(surely)]]
    const ended = started.length + stopped.length > 0 ? await listeners.get(serverName)?.(started, stopped) : 'taken in'
    if (ended === 'taken in') told.set(serverName, { surely: now, maybe: now })
  }

  /** A server that is down learns later of who has left meanwhile. */
  function noteBreaks(serverName: string, { surely, maybe }: Told): void {
    told.set(serverName, { surely: surely.intersection(remoteUsersOf(serverName)), maybe })
  }

  async function change(effect: () => void): Promise<void> {
    effect()
    for (const [serverName, known] of told) if (!listeners.has(serverName)) noteBreaks(serverName, known)
    for (const serverName of [...listeners.keys()]) await tell(serverName)
  }

  return {
    async share(members) {
      const room = new Set(members.map(idOf))
      await change(() => rooms.add(room))
      return {
        join: (member) => change(() => room.add(idOf(member))),
        leave: (member) => change(() => room.delete(idOf(member))),
        end: () => change(() => rooms.delete(room)),
      }
    },
    async unshare(members) {
      const wanted = new Set(members.map(idOf))
      const room = [...rooms].find((room) => room.symmetricDifference(wanted).size === 0)
      if (!room) throw new Error(`no room has exactly these members: ${[...wanted]}`)
      await change(() => rooms.delete(room))
    },
    of: (serverName) => ({
      wakeKeys(db, userIds) {
        return this.localUsers(db, userIds)
      },
      async sharing(_db, userId, others) {
        const there = company(userId)
        return new Set(others.filter((other) => other !== userId && there.has(other)))
      },
      async localUsers(_db, userIds) {
        const there = userIds.flatMap((userId) => [...company(userId)].filter((member) => member !== userId))
        return [...new Set(there.filter((member) => serverNameOf(member) === serverName))]
      },
      async movements() {
        return { met: [], parted: [], invited: [] }
      },
      async servers(_db, userId) {
        const servers = new Set([...company(userId)].map(serverNameOf))
        servers.delete(serverName as ServerName)
        return [...servers]
      },
      // Every room is encrypted, and somebody is always about.
      async inEncryptedRooms(_db, userId) {
        const others = [...company(userId)].filter((member) => member !== userId)
        return others.map((member) => ({ userId: member, displayName: null }))
      },
      async active(_db, userIds) {
        return new Set(userIds)
      },
    }),
    async attach(serverName, listener) {
      listeners.set(serverName, listener)
      await tell(serverName)
      return () => listeners.delete(serverName)
    },
  }
}

function idOf(member: Member): UserId {
  return (typeof member === 'string' ? member : member.userId) as UserId
}
