import { isObject } from '../matrix/json.ts'
import type { SyncResponse } from './build.ts'

/** An event in the form that clients got before `/sync`. */
export type OldEvent = Record<string, unknown>

/** What such clients looked for beside `unsigned`. */
const ONCE_OUTSIDE = ['age', 'prev_content', 'redacted_because', 'replaces_state']

export function oldEvent(event: object, roomId?: string): OldEvent {
  const old: OldEvent = { ...event, ...(roomId !== undefined && { room_id: roomId }) }
  if (typeof old.sender === 'string') old.user_id = old.sender
  const { unsigned } = old
  if (isObject(unsigned)) {
    for (const name of ONCE_OUTSIDE) if (Object.hasOwn(unsigned, name)) old[name] = unsigned[name]
  }
  if (old.type === 'm.presence' && isObject(old.content)) old.content = { ...old.content, user_id: old.sender }
  return old
}

/** Everything that a sync tells, one after the other, as `GET /events` does. */
export function oldEvents({ rooms, presence, account_data: data }: SyncResponse): OldEvent[] {
  const chunk = [...presence.events, ...data.events].map((event) => oldEvent(event))
  const add = (roomId: string, events: readonly object[]) => {
    for (const event of events) chunk.push(oldEvent(event, roomId))
  }
  for (const [roomId, room] of Object.entries(rooms.join)) {
    add(roomId, [...room.timeline.events, ...room.ephemeral.events, ...room.account_data.events])
  }
  for (const [roomId, { timeline }] of Object.entries(rooms.leave)) add(roomId, timeline.events)
  for (const [roomId, room] of Object.entries(rooms.invite)) add(roomId, room.invite_state.events.slice(-1))
  for (const [roomId, room] of Object.entries(rooms.knock)) add(roomId, room.knock_state.events.slice(-1))
  return chunk
}

export type OldRoom = { room_id: string; membership: string } & Record<string, unknown>

/** What a sync tells of all rooms, as `GET /initialSync` does. @param published rooms that are in the public directory */
export function oldRooms({ rooms, next_batch: end }: SyncResponse, published: ReadonlySet<string>): OldRoom[] {
  const visibility = (roomId: string) => ({ visibility: published.has(roomId) ? 'public' : 'private' })
  const old: OldRoom[] = []
  for (const [roomId, room] of [...Object.entries(rooms.join), ...Object.entries(rooms.leave)]) {
    const events = (some: { events: readonly object[] } | undefined) =>
      (some?.events ?? []).map((event) => oldEvent(event, roomId))
    const chunk = events(room.timeline)
    old.push({
      room_id: roomId,
      membership: Object.hasOwn(rooms.join, roomId) ? 'join' : departure(chunk),
      messages: { chunk, start: room.timeline.prev_batch, end },
      state: events(room.state_after),
      account_data: room.account_data.events,
      ...visibility(roomId),
    })
  }
  for (const [roomId, { invite_state: state }] of Object.entries(rooms.invite)) {
    const invite = oldEvent(state.events.at(-1) ?? {}, roomId)
    old.push({ room_id: roomId, membership: 'invite', invite, inviter: invite.sender, ...visibility(roomId) })
  }
  return old
}

function departure(chunk: readonly OldEvent[]): string {
  const content = chunk.findLast(({ type }) => type === 'm.room.member')?.content
  return isObject(content) && content.membership === 'ban' ? 'ban' : 'leave'
}

/** The receipts of all rooms. */
export function oldReceipts({ rooms }: SyncResponse): OldEvent[] {
  return Object.entries(rooms.join).flatMap(([roomId, { ephemeral }]) =>
    ephemeral.events.filter(({ type }) => type === 'm.receipt').map((event) => oldEvent(event, roomId)),
  )
}
