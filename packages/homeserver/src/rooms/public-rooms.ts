import { forbidden, invalidParam, notFound } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { findAccount } from '../storage/accounts.ts'
import { publishedRooms, roomRow, setPublished } from '../storage/rooms.ts'
import { currentContents } from './current-contents.ts'
import type { RoomParts } from './ports.ts'
import { mayChangeState } from './power.ts'
import {
  compareByPlace,
  type DirectoryPlace,
  type DirectoryToken,
  formatToken,
  parseToken,
} from './public-room-token.ts'
import { type RoomSummary, SUMMARY_TYPES, summaryOf } from './room-summary.ts'
import type { RoomWriter } from './writable-room.ts'

/** What is asked of a directory, its shape checked. */
export type DirectoryQuery = {
  limit: number | undefined
  /** A token of the directory that is asked. */
  since: string | undefined
  searchTerm: string | undefined
  /** Types of rooms, `null` for rooms without one; any, if left out. */
  roomTypes: readonly (string | null)[] | undefined
}

/** A page of a directory in its wire form. */
export type DirectoryPage = {
  chunk: Omit<RoomSummary, 'allowed_room_ids' | 'encryption' | 'room_version'>[]
  next_batch?: string
  prev_batch?: string
  total_room_count_estimate?: number
}

/** The rooms that are published here. Client-server API, "Published room directory". */
export type PublicRooms = {
  /**
   * One page, rooms with most members first.
   * @param forServer whether another server asks, which is not told of rooms that no other server may join
   * @throws `M_INVALID_PARAM` for a token that is not one of ours
   */
  list(query: DirectoryQuery, forServer: boolean): Promise<DirectoryPage>
  /** @throws `M_NOT_FOUND` for a room that is not known */
  isPublished(roomId: RoomId): Promise<boolean>
  /** @throws `M_NOT_FOUND`; `M_FORBIDDEN` for whoever may not change the room's canonical alias */
  publish(userId: UserId, roomId: RoomId, published: boolean): Promise<void>
}

/** Rooms of one page, at most, and as many if nobody says. */
const MAX_LIMIT = 500
/** Rooms that are looked at at once when there is a filter. */
const BATCH = 200

export function createPublicRooms(parts: RoomParts, writer: RoomWriter): PublicRooms {
  const { store } = parts

  /** The first of these rooms that are asked for, with one more than the page has room for. */
  async function search(
    places: readonly DirectoryPlace[],
    matches: (summary: RoomSummary, federates: boolean) => boolean,
    count: number,
  ): Promise<{ place: DirectoryPlace; summary: RoomSummary }[]> {
    const found: { place: DirectoryPlace; summary: RoomSummary }[] = []
    for (let start = 0; start < places.length && found.length < count; start += BATCH) {
      const batch = places.slice(start, start + BATCH)
      const contents = await currentContents(
        store.db,
        batch.map(({ roomId }) => roomId),
        SUMMARY_TYPES,
      )
      for (const place of batch) {
        const ofRoom = contents.get(place.roomId)!
        const summary = summaryOf(place.roomId, ofRoom, place.members)
        const federates = ofRoom.get('m.room.create')?.['m.federate'] !== false
        if (summary && matches(summary, federates)) found.push({ place, summary })
      }
    }
    return found.slice(0, count)
  }

  return {
    async list({ limit, since, searchTerm, roomTypes }, forServer) {
      const token = since === undefined ? undefined : parseToken(since)
      if (since !== undefined && !token) throw invalidParam('since is not a token of this directory')
      const size = Math.min(limit ?? MAX_LIMIT, MAX_LIMIT)
      const all = (await publishedRooms(store.db)).sort(compareByPlace)
      const isWanted = wanted(searchTerm, roomTypes)
      const matches = (summary: RoomSummary, federates: boolean) => isWanted(summary) && (federates || !forServer)
      const found = await search(placesFrom(all, token), matches, size + 1)
      const page = found.slice(0, size)
      if (token?.backward) page.reverse()
      return {
        chunk: page.map(({ summary }) => entryOf(summary)),
        ...pageTokens(page, token, found.length > size),
        total_room_count_estimate: all.length,
      }
    },

    async isPublished(roomId) {
      const row = await roomRow(store.db, roomId)
      if (!row) throw notFound('This room is not known here')
      return row.published
    },

    async publish(userId, roomId, published) {
      const isAdmin = (await findAccount(store.db, userId))?.is_admin === 1
      await writer.write(roomId, async (room) => {
        if (!isAdmin && !(await mayChangeState(parts, room, userId, 'm.room.canonical_alias'))) {
          throw forbidden('This needs the power to change the canonical alias of the room')
        }
        await setPublished(room.tx.db, roomId, published)
      })
    },
  }
}

/** What a directory shows of a room. */
export function entryOf(summary: RoomSummary): DirectoryPage['chunk'][number] {
  const { allowed_room_ids: _, encryption: __, room_version: ___, ...entry } = summary
  return entry
}

function placesFrom(all: readonly DirectoryPlace[], token: DirectoryToken | undefined): readonly DirectoryPlace[] {
  if (!token) return all
  if (!token.backward) return all.filter((place) => compareByPlace(place, token.place) > 0)
  return all.filter((place) => compareByPlace(place, token.place) < 0).reverse()
}

function pageTokens(
  page: readonly { place: DirectoryPlace }[],
  token: DirectoryToken | undefined,
  more: boolean,
): Pick<DirectoryPage, 'next_batch' | 'prev_batch'> {
  const [first, last] = [page[0]?.place, page.at(-1)?.place]
  if (!first || !last) return {}
  const hasNext = token?.backward || more
  const hasPrevious = token?.backward ? more : token !== undefined
  return {
    ...(hasNext && { next_batch: formatToken({ backward: false, place: last }) }),
    ...(hasPrevious && { prev_batch: formatToken({ backward: true, place: first }) }),
  }
}

function wanted(
  searchTerm: string | undefined,
  roomTypes: DirectoryQuery['roomTypes'],
): (summary: RoomSummary) => boolean {
  const term = searchTerm?.trim().toLowerCase() ?? ''
  return ({ name, topic, canonical_alias: alias, room_type: type }) =>
    (!roomTypes || roomTypes.includes(type ?? null)) &&
    (term === '' || [name, topic, alias].some((text) => text?.toLowerCase().includes(term)))
}
