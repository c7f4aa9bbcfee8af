/**
 * A place between two events of a room, in the order of `/messages`: behind the event with this depth and position, and
 * before the next.
 */
export type Place = { depth: number; position: number }

/**
 * Where a client's token points: to a place in a room, or in the one stream of `/sync`. The token of a timeline stands before
 * its first event, in both: what came later than `newest`, at whatever place, is in that timeline or in one after it.
 */
type Pointer = (Place & { newest?: number; isTimeline?: boolean }) | { streamPosition: number }

const PLACE = /^t([0-9]{1,16})_(-?[0-9]{1,15})(?:_([0-9]{1,15}))?$/
const TIMELINE = /^b([0-9]{1,16})_([0-9]{1,15})$/
/** What `/sync` gives out; what stands behind the position is its own. */
const STREAM = /^s1_([0-9]{1,15})(?:_[0-9_]*)?$/

/** Before everything that a room can have. */
export const BEGINNING: Place = { depth: 0, position: -999_999_999_999_999 }

/** @param newest the position of the stream after which events are not looked at, if there is one */
export function formatPlace({ depth, position }: Place, newest?: number): string {
  return `t${depth}_${position}${newest === undefined ? '' : `_${newest}`}`
}

/** The token of a timeline that begins with an event. */
export function formatTimelineStart({ depth, position }: { depth: number; position: number | null }): string {
  return `b${depth}_${position! - 1}`
}

/** @returns `undefined` if the text is no token of ours */
export function parsePaginationToken(text: string): Pointer | undefined {
  const place = PLACE.exec(text)
  if (place) {
    const newest = place[3] === undefined ? {} : { newest: Number(place[3]) }
    return { depth: Number(place[1]), position: Number(place[2]), ...newest }
  }
  const timeline = TIMELINE.exec(text)
  if (timeline) {
    const position = Number(timeline[2])
    return { depth: Number(timeline[1]), position, newest: position, isTimeline: true }
  }
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
