import { isRoomId, type RoomId } from '../matrix/ids.ts'
import { tryParseJson } from '../matrix/json.ts'

/** A room's place in the directory: the most members first, and among as many by room ID. */
export type DirectoryPlace = { members: number; roomId: RoomId }

/** Where a page of the directory begins: behind a place, in one direction. */
export type DirectoryToken = { backward: boolean; place: DirectoryPlace }

export function formatToken({ backward, place }: DirectoryToken): string {
  const value = [backward ? 'b' : 'f', place.members, place.roomId]
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** @returns `undefined` for what is no token of ours */
export function parseToken(text: string): DirectoryToken | undefined {
  const value = tryParseJson(Buffer.from(text, 'base64url').toString('utf8'))
  if (!Array.isArray(value)) return undefined
  const [direction, members, roomId] = value as unknown[]
  if ((direction !== 'b' && direction !== 'f') || !Number.isSafeInteger(members) || !isRoomId(roomId)) return undefined
  return { backward: direction === 'b', place: { members: members as number, roomId } }
}

/** Negative if `a` stands before `b`. */
export function compareByPlace(a: DirectoryPlace, b: DirectoryPlace): number {
  if (a.members !== b.members) return b.members - a.members
  return a.roomId < b.roomId ? -1 : a.roomId > b.roomId ? 1 : 0
}
