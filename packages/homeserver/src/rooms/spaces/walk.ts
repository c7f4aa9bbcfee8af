import type { RoomId, ServerName, UserId } from '../../matrix/ids.ts'
import type { RoomParts } from '../ports.ts'
import type { RemoteSpace, RemoteSpaces } from './remote-spaces.ts'
import { visibleToUser } from './space-access.ts'
import { isSuggested, viaOf } from './space-child.ts'
import { isSpace, localRooms, type SpaceRoom } from './space-room.ts'

/** A walk through a space: from where, for whom, and what of it is wanted. */
export type Walk = {
  userId: UserId
  root: { roomId: RoomId; via: readonly ServerName[] }
  suggestedOnly: boolean
  maxDepth: number
  /** The walk ends after so many rooms. */
  count: number
}

/** A room that the walk may come to, and what its parent's server has told of it. */
type Step = {
  roomId: RoomId
  via: readonly ServerName[]
  depth: number
  told: SpaceRoom | undefined
  isClosed: boolean
}

/** Requests to other servers that one walk makes, and the time after which it makes no more (ms). */
const MAX_REQUESTS = 30
const MAX_TIME_MS = 20_000

/**
 * The rooms of a space that its visitor may see, depth first, each once, whatever circles there are.
 * @returns `complete` is false if there may be more: the count was reached, or too many other servers had to be asked, whose
 * answers are at hand for the next walk
 */
export async function walkSpace(
  parts: Pick<RoomParts, 'store' | 'clock'>,
  remote: RemoteSpaces,
  walk: Walk,
): Promise<{ rooms: SpaceRoom[]; complete: boolean }> {
  const { db } = parts.store
  const until = parts.clock.now() + MAX_TIME_MS
  const local = new Map<RoomId, SpaceRoom>()
  const visible = new Set<RoomId>()
  const seen = new Set<RoomId>()
  const rooms: SpaceRoom[] = []
  const ahead: Step[] = [{ ...walk.root, depth: 0, told: undefined, isClosed: false }]
  let requests = 0

  /** Looks at all rooms that the walk will come to next at once. */
  async function lookAhead(steps: readonly Step[]): Promise<void> {
    const here = await localRooms(
      db,
      steps.map((step) => step.roomId),
    )
    for (const [roomId, room] of here) local.set(roomId, room)
    const told = steps.flatMap((step) => (step.told && !here.has(step.roomId) ? [step.told] : []))
    for (const roomId of await visibleToUser(db, walk.userId, [...here.values(), ...told])) visible.add(roomId)
  }

  /** @returns `later` if another server would have to be asked, and enough have been */
  async function visit(step: Step): Promise<{ room?: SpaceRoom; answer?: RemoteSpace } | 'later'> {
    const here = local.get(step.roomId)
    if (here) return visible.has(step.roomId) ? { room: here } : {}
    if (step.isClosed) return {}
    if (step.told && !isSpace(step.told)) return visible.has(step.roomId) ? { room: step.told } : {}
    if (!remote.isAtHand(step.roomId, step.via)) {
      if (requests === MAX_REQUESTS || parts.clock.now() >= until) return 'later'
      requests++
    }
    const answer = await remote.find(step.roomId, step.via)
    const room = answer?.room ?? step.told
    if (!room || (await visibleToUser(db, walk.userId, [room])).size === 0) return {}
    return { room, ...(answer && { answer }) }
  }

  await lookAhead(ahead)
  while (ahead.length > 0 && rooms.length < walk.count) {
    const step = ahead.at(-1)!
    const visited = seen.has(step.roomId) ? {} : await visit(step)
    if (visited === 'later') return { rooms, complete: false }
    ahead.pop()
    seen.add(step.roomId)
    const { room, answer } = visited
    if (!room) continue
    const children = walk.suggestedOnly ? room.children_state.filter(isSuggested) : room.children_state
    rooms.push({ ...room, children_state: children })
    if (step.depth >= walk.maxDepth) continue
    const steps = children.map((child) => ({
      roomId: child.state_key,
      via: viaOf(child.content),
      depth: step.depth + 1,
      told: answer?.children.get(child.state_key),
      isClosed: answer?.inaccessible.has(child.state_key) ?? false,
    }))
    await lookAhead(steps.filter((next) => !seen.has(next.roomId)))
    ahead.push(...steps.reverse())
  }
  return { rooms, complete: ahead.every((step) => seen.has(step.roomId)) }
}
