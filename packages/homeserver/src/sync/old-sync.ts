import type { RoomId, UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import { joinedMemberIds, membershipRow } from '../storage/memberships.ts'
import { inParts } from '../storage/parts.ts'
import { roomRow, roomRows } from '../storage/rooms.ts'
import type { Store } from '../storage/store.ts'
import { newestEvents } from '../storage/sync-rooms.ts'
import { type OldEvent, type OldRoom, oldEvent, oldEvents, oldReceipts, oldRooms } from './old-form.ts'
import type { Device, SyncSources } from './ports.ts'
import type { Sync } from './sync.ts'
import { formatToken, type SyncToken } from './token.ts'

type Waiting = { from: SyncToken | undefined; timeoutMs: number; signal: AbortSignal }
type Chunk = { start: string; end: string; chunk: OldEvent[] }

/** What clients used before `/sync`, made of the same. Client-server API, "Syncing", all of it deprecated. */
export type OldSync = {
  /** `GET /initialSync` @param limit events of each room */
  initialSync(
    device: Device,
    query: { limit: number; archived: boolean },
  ): Promise<{ end: string; rooms: OldRoom[]; presence: OldEvent[]; receipts: OldEvent[]; account_data: object[] }>
  /** `GET /events`: what happens from a token on, or from now. */
  events(device: Device, query: Waiting): Promise<Chunk>
  /** The same of one room that the user need not be in. @throws `M_FORBIDDEN` if they may not read it */
  eventsIn(device: Device, roomId: RoomId, query: Waiting): Promise<Chunk>
  /** `GET /rooms/{roomId}/initialSync` @throws `M_FORBIDDEN` if the user may not read the room */
  roomInitialSync(device: Device, roomId: RoomId, limit: number): Promise<OldRoom>
}

/** What is read of a room by itself. */
export type OldRoomReading = {
  /** @throws `M_FORBIDDEN` */
  requireReadable(requester: Device, roomId: RoomId): Promise<void>
  state(requester: Device, roomId: RoomId): Promise<readonly object[]>
  messages(
    requester: Device,
    roomId: RoomId,
    query: { dir: 'b'; limit: number; filter: object },
  ): Promise<{ start: string; end?: string; chunk: readonly object[] }>
}

/** The most events in one answer, and the most members whose presence is shown. */
const MOST_EVENTS = 100
const MOST_MEMBERS = 1_000

export function createOldSync(
  store: Store,
  clock: Clock,
  sync: Sync,
  sources: SyncSources,
  reading: OldRoomReading,
): OldSync {
  const { db } = store

  async function fromOrNow(from: SyncToken | undefined): Promise<SyncToken> {
    const position = await store.position()
    return from && from.position <= position ? from : { position, toDevice: position }
  }

  return {
    async initialSync(device, { limit, archived }) {
      const filter = { room: { timeline: { limit }, include_leave: archived } }
      const signal = new AbortController().signal
      const question = { since: undefined, fullState: false, stateAfter: true, filter }
      const response = await sync(device, { ...question, timeoutMs: 0, signal })
      const roomIds = Object.values(response.rooms).flatMap((section) => Object.keys(section)) as RoomId[]
      return {
        end: response.next_batch,
        rooms: oldRooms(response, await published(store, roomIds)),
        presence: response.presence.events.map((event) => oldEvent(event)),
        receipts: oldReceipts(response),
        // Push rules were not yet account data.
        account_data: response.account_data.events.filter(({ type }) => type !== 'm.push_rules'),
      }
    },

    async events(device, { from, timeoutMs, signal }) {
      const since = await fromOrNow(from)
      const filter = { room: { timeline: { limit: MOST_EVENTS } } }
      const question = { since, fullState: false, stateAfter: true, onlyNew: true, filter }
      const response = await sync(device, { ...question, timeoutMs, signal })
      return { start: formatToken(since), end: response.next_batch, chunk: oldEvents(response) }
    },

    async eventsIn(device, roomId, { from, timeoutMs, signal }) {
      await reading.requireReadable(device, roomId)
      const since = await fromOrNow(from)
      const deadline = clock.now() + timeoutMs
      const ignored = await sources.rooms.ignoredBy(db, device.userId)
      const isJoined = async () => (await membershipRow(db, roomId, device.userId))?.membership === 'join'
      for (;;) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const unsubscribe = store.notifier.subscribe(roomId, resolve)
        const cancel = clock.after(deadline - clock.now(), resolve)
        signal.addEventListener('abort', resolve as () => void, { once: true })
        try {
          const upTo = await store.position()
          const span = { roomId, after: since.position, upTo, limit: MOST_EVENTS }
          const rows = (await newestEvents(db, [span])).get(roomId)!
          const joinedUntil = new Map((await isJoined()) ? [[roomId, Number.POSITIVE_INFINITY]] : [])
          const viewer = { ...device, ignored, joinedUntil }
          const seen = await sources.rooms.seen(db, viewer, rows)
          const events = await sources.rooms.clientEvents(db, viewer, seen, true)
          if (events.length > 0 || clock.now() >= deadline || signal.aborted) {
            const end = formatToken({ position: upTo, toDevice: Math.min(since.toDevice, upTo) })
            return { start: formatToken(since), end, chunk: events.map((event) => oldEvent(event, roomId)) }
          }
          await promise
        } finally {
          unsubscribe()
          cancel()
          signal.removeEventListener('abort', resolve as () => void)
        }
      }
    },

    async roomInitialSync(device, roomId, limit) {
      const { userId } = device
      const state = await reading.state(device, roomId)
      const upTo = await store.position()
      const { start, end, chunk } = await reading.messages(device, roomId, { dir: 'b', limit, filter: {} })
      const membership = (await membershipRow(db, roomId, userId))?.membership ?? 'leave'
      const isJoined = membership === 'join'
      const receipts = isJoined ? await sources.ephemeral.receiptsSince(db, userId, [roomId], 0, upTo) : new Map()
      const accountData = await sources.ephemeral.roomAccountDataSince(userId, 0, upTo)
      return {
        room_id: roomId,
        membership,
        visibility: (await roomRow(db, roomId))?.published ? 'public' : 'private',
        state: state.map((event) => oldEvent(event, roomId)),
        messages: {
          chunk: chunk.map((event) => oldEvent(event, roomId)).reverse(),
          start: end ?? start,
          end: formatToken({ position: upTo, toDevice: upTo }),
        },
        presence: isJoined ? (await presenceIn(store, sources, roomId)).map((event) => oldEvent(event)) : [],
        receipts: [...receipts.values()].map((content) => oldEvent({ type: 'm.receipt', content }, roomId)),
        account_data: accountData.get(roomId) ?? [],
      }
    },
  }
}

async function presenceIn({ db }: Store, { ephemeral }: SyncSources, roomId: RoomId) {
  const members: UserId[] = await joinedMemberIds(db, [roomId])
  return ephemeral.presenceOfUsers(db, members.slice(0, MOST_MEMBERS))
}

async function published({ db }: Store, roomIds: readonly RoomId[]): Promise<Set<RoomId>> {
  const found = new Set<RoomId>()
  for (const some of inParts(roomIds, 500)) {
    for (const [roomId, row] of await roomRows(db, some)) {
      if (row.published) found.add(roomId)
    }
  }
  return found
}
