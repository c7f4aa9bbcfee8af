import type { RoomId, UserId } from '../matrix/ids.ts'
import {
  type FoundUser,
  findLocalUsers,
  findRemoteUsers,
  mutualRoomCount,
  mutualRoomIds,
} from '../storage/user-directory.ts'
import type { RoomParts } from './ports.ts'

/** Who can be found through rooms. Client-server API, "User directory", "Mutual rooms". */
export type UserDirectory = {
  /**
   * Users whose display name or ID has every word of the term, best first.
   * @returns `limited` if there are more
   */
  search(userId: UserId, term: string, limit: number): Promise<{ users: FoundUser[]; limited: boolean }>
  /** A page of the rooms that two users are in, after a room ID, and how many there are in all. */
  mutualRooms(
    userId: UserId,
    other: UserId,
    after: string,
  ): Promise<{ roomIds: RoomId[]; count: number; isLast: boolean }>
}

/** Words of a term that are looked at. */
const MAX_WORDS = 5
/** Users of each kind who are compared; whoever has a term that fits more gets some of them. */
const CANDIDATES = 500
const MUTUAL_ROOMS_PAGE = 200

export function createUserDirectory({ store }: Pick<RoomParts, 'store'>): UserDirectory {
  return {
    async search(userId, term, limit) {
      // Fields of profiles are kept as JSON, which writes a quotation mark as two characters.
      const words = [...new Set(term.split(/\s+/).filter((word) => word !== ''))].slice(0, MAX_WORDS)
      if (words.length === 0) return { users: [], limited: false }
      const local = await findLocalUsers(store.db, { userId, words: words.map(asInJson), limit: CANDIDATES })
      const remote = await findRemoteUsers(store.db, { userId, words, limit: CANDIDATES })
      const found = [...local, ...remote]
      const ranks = new Map(found.map((user) => [user, rankOf(user, term)]))
      const sorted = found.sort((a, b) => ranks.get(a)! - ranks.get(b)!)
      return { users: sorted.slice(0, limit), limited: sorted.length > limit }
    },

    async mutualRooms(userId, other, after) {
      const some = await mutualRoomIds(store.db, [userId, other], { after, limit: MUTUAL_ROOMS_PAGE + 1 })
      const roomIds = some.slice(0, MUTUAL_ROOMS_PAGE)
      const isLast = some.length <= MUTUAL_ROOMS_PAGE
      const count = isLast && after === '' ? roomIds.length : await mutualRoomCount(store.db, userId, other)
      return { roomIds, count, isLast }
    },
  }
}

const asInJson = (word: string) => JSON.stringify(word).slice(1, -1)

/** The lower the better: the whole ID or name, what begins with the term, what has it, and among them who has a name. */
function rankOf({ userId, displayName }: FoundUser, term: string): number {
  const wanted = term.trim().toLowerCase()
  const names = [userId.toLowerCase(), userId.slice(1).toLowerCase(), displayName?.toLowerCase() ?? '']
  const nameless = displayName === null ? 0.5 : 0
  if (names.includes(wanted) || names[1]!.startsWith(`${wanted}:`)) return nameless
  if (names.some((name) => name.startsWith(wanted))) return 1 + nameless
  return 2 + nameless
}
