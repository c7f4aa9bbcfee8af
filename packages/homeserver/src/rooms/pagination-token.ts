/**
 * A place between two events of a room, in the order of `/messages`: behind the event with this depth and position, and
 * before the next.
 */
export type Place = { depth: number; position: number }

/** Where a client's token points: to a place in a room, or in the one stream of `/sync`. */
type Pointer = Place | { streamPosition: number }

const PLACE = /^t([0-9]{1,16})_(-?[0-9]{1,15})$/
/** What `/sync` gives out; what stands behind the position is its own. */
const STREAM = /^s1_([0-9]{1,15})(?:_[0-9_]*)?$/

/** Before everything that a room can have. */
export const BEGINNING: Place = { depth: 0, position: -999_999_999_999_999 }

export function formatPlace({ depth, position }: Place): string {
  return `t${depth}_${position}`
}

/** @returns `undefined` if the text is no token of ours */
export function parsePaginationToken(text: string): Pointer | undefined {
  const place = PLACE.exec(text)
  if (place) return { depth: Number(place[1]), position: Number(place[2]) }
  const stream = STREAM.exec(text)
  return stream ? { streamPosition: Number(stream[1]) } : undefined
}

/** The place right behind an event. */
export function placeAfter(event: { depth: number; position: number | null }): Place {
  return { depth: event.depth, position: event.position! }
}

/** The place right before an event. */
export function placeBefore(event: { depth: number; position: number | null }): Place {
  return { depth: event.depth, position: event.position! - 1 }
}

/** Whether `a` comes before `b`; negative, zero or positive. */
export function comparePlaces(a: Place, b: Place): number {
  return a.depth - b.depth || a.position - b.position
}
