// What an account does in rooms, over the plain client API of any homeserver.

import assert from 'node:assert/strict'
import { type Account, eventually, request } from './clients.ts'

type Json = Record<string, unknown>
/** An event as clients see it. */
export type SeenEvent = {
  event_id: string
  type: string
  sender: string
  state_key?: string
  content: Json
  unsigned?: Json
}

type News = {
  next_batch: string
  rooms?: {
    invite?: Record<string, Json>
    join?: Record<string, { ephemeral?: { events: { type: string; content: Json }[] } }>
  }
}

const V3 = '/_matrix/client/v3'
let transactions = 0

/** A member, or somebody who would be one. */
export function inRooms(account: Account) {
  async function ask(method: string, path: string, body?: Json): Promise<Json> {
    const answer = await request(account, method, path.startsWith('/_matrix') ? path : V3 + path, body)
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  let since: string | undefined
  /** The next sync. Synapse answers the same request the same for a while, so it has to go on from the last. */
  async function news(): Promise<News> {
    const body = (await ask('GET', `/sync?timeout=0${since === undefined ? '' : `&since=${since}`}`)) as News
    since = body.next_batch
    return body
  }
  const room = (roomId: string) => `/rooms/${encodeURIComponent(roomId)}`

  const self = {
    account,
    ask,
    create: async (wish: Json) => (await ask('POST', '/createRoom', wish)).room_id as string,
    join: (roomIdOrAlias: string, via: string) =>
      ask('POST', `/join/${encodeURIComponent(roomIdOrAlias)}?via=${via}&server_name=${via}`, {}),
    say: async (roomId: string, body: string) =>
      (await ask('PUT', `${room(roomId)}/send/m.room.message/t${transactions++}`, { msgtype: 'm.text', body }))
        .event_id as string,
    redact: (roomId: string, eventId: string) =>
      ask('PUT', `${room(roomId)}/redact/${encodeURIComponent(eventId)}/t${transactions++}`, {}),
    /** `invite`, `kick`, `ban`, `unban` */
    member: (action: string, roomId: string, userId: string) =>
      ask('POST', `${room(roomId)}/${action}`, { user_id: userId }),
    leave: (roomId: string) => ask('POST', `${room(roomId)}/leave`, {}),
    setState: (roomId: string, type: string, content: Json) => ask('PUT', `${room(roomId)}/state/${type}/`, content),
    state: (roomId: string, type: string, stateKey = '') =>
      request(account, 'GET', `${V3}${room(roomId)}/state/${type}/${encodeURIComponent(stateKey)}`),
    membershipOf: async (roomId: string, userId: string) =>
      (await self.state(roomId, 'm.room.member', userId)).body.membership as string | undefined,
    /** The newest events, the newest first; older ones are fetched from where they are. */
    messages: async (roomId: string, limit = 100) =>
      (await ask('GET', `${room(roomId)}/messages?dir=b&limit=${limit}`)).chunk as SeenEvent[],
    /** Waits until an event can be read in the room. */
    sees: (roomId: string, what: string, check: (event: SeenEvent) => boolean) =>
      eventually(what, async () => {
        const { status, body } = await request(account, 'GET', `${V3}${room(roomId)}/messages?dir=b&limit=50`)
        return status === 200 && (body.chunk as SeenEvent[]).find(check)
      }),
    invitation: (roomId: string) => eventually('the invitation', async () => (await news()).rooms?.invite?.[roomId]),
    /** Waits until something that is no event is told of the room, such as a receipt, in which a text occurs. */
    hears: (roomId: string, type: string, text: string) =>
      eventually(`${type} with ${text}`, async () => {
        const told = (await news()).rooms?.join?.[roomId]?.ephemeral?.events ?? []
        return told.some((event) => event.type === type && JSON.stringify(event).includes(text))
      }),
  }
  return self
}

export type InRooms = ReturnType<typeof inRooms>
/** For `sees`. */
export const saying = (text: string) => (event: SeenEvent) => event.content.body === text
