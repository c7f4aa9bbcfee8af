/** Who is in which room: who shares one with whom. */
export type Company = {
  of(userId: string): Set<string>
  /** The servers of those with whom a user shares a room, without the user's own. */
  servers(userId: string): string[]
  /** Users of other servers with whom users of this one share a room. */
  remoteUsers(server: string): string[]
  isIn(room: number, userId: string): boolean
  members(room: number): string[]
  join(room: number, userId: string): void
  leave(room: number, userId: string): void
}

export const serverOf = (userId: string) => userId.slice(userId.indexOf(':') + 1)

export function createCompany(rooms: readonly (readonly string[])[]): Company {
  const members = rooms.map((room) => new Set(room))

  function of(userId: string): Set<string> {
    const there = new Set(members.filter((room) => room.has(userId)).flatMap((room) => [...room]))
    there.delete(userId)
    return there
  }

  return {
    of,
    servers(userId) {
      const servers = new Set([...of(userId)].map(serverOf))
      servers.delete(serverOf(userId))
      return [...servers]
    },
    remoteUsers(server) {
      const shared = members.filter((room) => [...room].some((member) => serverOf(member) === server))
      return [...new Set(shared.flatMap((room) => [...room]))].filter((member) => serverOf(member) !== server)
    },
    isIn: (room, userId) => members[room]!.has(userId),
    members: (room) => [...members[room]!],
    join: (room, userId) => void members[room]!.add(userId),
    leave: (room, userId) => void members[room]!.delete(userId),
  }
}
