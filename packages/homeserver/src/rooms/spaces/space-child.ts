import { isRoomId, isServerName, isUserId, type RoomId, type ServerName, type UserId } from '../../matrix/ids.ts'
import { isObject, type JsonObject } from '../../matrix/json.ts'

/** The `m.space.child` event of a room that belongs to a space, as it is shown: stripped, with its time. */
export type SpaceChild = {
  type: 'm.space.child'
  state_key: RoomId
  sender: UserId
  content: JsonObject
  origin_server_ts: number
}

/**
 * Takes in what may be the event of a child, from our state or from another server's answer.
 * @returns `undefined` if it is none, or says that the room is no child any more: there is no `via`
 */
export function readSpaceChild(event: unknown): SpaceChild | undefined {
  if (!isObject(event) || event.type !== 'm.space.child' || !isRoomId(event.state_key)) return undefined
  const { state_key, sender, content, origin_server_ts: time } = event
  if (!isUserId(sender) || !isObject(content) || !Number.isSafeInteger(time)) return undefined
  if (viaOf(content).length === 0) return undefined
  return { type: 'm.space.child', state_key, sender, content: content as JsonObject, origin_server_ts: time as number }
}

/** Servers that know a child. */
export function viaOf(content: Record<string, unknown>): ServerName[] {
  return (Array.isArray(content.via) ? content.via : []).filter(isServerName)
}

export const isSuggested = ({ content }: SpaceChild) => content.suggested === true

/**
 * Children in the order in which they are shown: those with an `order` by it, then the others by time. Client-server API,
 * "Ordering of children within a space".
 */
export function inOrder(children: readonly SpaceChild[]): SpaceChild[] {
  return [...children].sort((a, b) => {
    const [orderA, orderB] = [orderOf(a), orderOf(b)]
    if (orderA !== orderB) return orderA === undefined ? 1 : orderB === undefined ? -1 : orderA < orderB ? -1 : 1
    return a.origin_server_ts - b.origin_server_ts || (a.state_key < b.state_key ? -1 : 1)
  })
}

function orderOf({ content: { order } }: SpaceChild): string | undefined {
  return typeof order === 'string' && /^[\x20-\x7e]{0,50}$/.test(order) ? order : undefined
}
