import {
  ClientEvent,
  type ClientEventHandlerMap,
  type EmittedEvents,
  EventType,
  KnownMembership,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  type Room,
  RoomEvent,
  RoomStateEvent,
} from 'matrix-js-sdk'
import { CryptoEvent } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { doubtsOf } from './doubts.ts'
import { looksStaleInStore } from './looks-stale.ts'

/** On which occasion a list is asked for. */
export type RefreshOccasion = 'directRoom' | 'groupInvite' | 'verificationRequest' | 'staleList'

/** Called with each doubt; the same one may come again. */
export type RaiseDoubt = (userId: string, occasion: RefreshOccasion, doubt: string) => void

/** @returns what ends it */
export type Watcher = (client: MatrixClient, raise: RaiseDoubt, onError: (error: unknown) => void) => () => void

/** How many new rooms are kept in mind until they have two members and encryption. */
const MAX_NEW_ROOMS = 1_000

/** Doubts the other member of each encrypted room of two that comes into being; what was there before is left alone. */
export const watchDirectRooms: Watcher = (client, raise) => {
  const newRooms = new Set<string>()

  function remember(roomId: string): void {
    newRooms.add(roomId)
    if (newRooms.size > MAX_NEW_ROOMS) newRooms.delete(newRooms.values().next().value!)
  }

  const stopRooms = listen(client, ClientEvent.Room, (room) => {
    if (client.isInitialSyncComplete()) remember(room.roomId)
  })
  const stopState = onStateAfterSync(client, (event, room) => {
    if (event.getType() === EventType.RoomEncryption) remember(room.roomId)
    const other = newRooms.has(room.roomId) ? otherMember(client, room) : undefined
    if (other === undefined) return
    newRooms.delete(room.roomId)
    raise(other, 'directRoom', `direct room ${room.roomId}`)
  })
  return () => {
    stopRooms()
    stopState()
  }
}

/** The other one of exactly two who are, or are invited to be, in an encrypted room. */
function otherMember(client: MatrixClient, room: Room): string | undefined {
  if (!room.hasEncryptionStateEvent() || room.getInvitedAndJoinedMemberCount() !== 2) return undefined
  const present: string[] = [KnownMembership.Join, KnownMembership.Invite]
  const others = room.getMembers().filter(({ userId, membership }) => {
    return userId !== client.getUserId() && present.includes(membership ?? '')
  })
  return others[0]?.userId
}

/** Doubts who invites us to a group room, and who is invited to an encrypted one that we are in. */
export const watchGroupInvites: Watcher = (client, raise) => {
  let invites = 0
  const stopInvited = listen(client, RoomEvent.MyMembership, (room, membership) => {
    if (membership !== KnownMembership.Invite || !client.isInitialSyncComplete()) return
    const event = room.getMember(client.getSafeUserId())?.events.member
    if (!event || event.getContent().is_direct === true) return
    raise(event.getSender()!, 'groupInvite', `invite to ${room.roomId}, the ${++invites}th`)
  })
  const stopState = onStateAfterSync(client, (event, room) => {
    if (event.getType() !== EventType.RoomMember || event.getContent().membership !== KnownMembership.Invite) return
    if (room.getMyMembership() !== KnownMembership.Join || !room.hasEncryptionStateEvent()) return
    if (room.getInvitedAndJoinedMemberCount() > 2) raise(event.getStateKey()!, 'groupInvite', `invite ${event.getId()}`)
  })
  return () => {
    stopInvited()
    stopState()
  }
}

/** Calls `look` with state events that are new, once the sync that brought them has been worked in. */
function onStateAfterSync(client: MatrixClient, look: (event: MatrixEvent, room: Room) => void): () => void {
  let events: MatrixEvent[] = []
  const stopState = listen(client, RoomStateEvent.Events, (event) => {
    const isOfInterest = event.getType() === EventType.RoomEncryption || event.getType() === EventType.RoomMember
    if (isOfInterest && client.isInitialSyncComplete()) events.push(event)
  })
  const stopSync = listen(client, ClientEvent.Sync, () => {
    const arrived = events
    events = []
    for (const event of arrived) {
      const room = client.getRoom(event.getRoomId())
      if (room) look(event, room)
    }
  })
  return () => {
    stopState()
    stopSync()
  }
}

type Handlers = ClientEventHandlerMap

/** @returns what takes the listener away again */
function listen<Name extends keyof Handlers & EmittedEvents>(
  client: MatrixClient,
  name: Name,
  listener: Handlers[Name],
): () => void {
  client.on(name, listener as never)
  return () => void client.off(name, listener as never)
}

/** How many members of encrypted rooms are looked at when it begins. */
const MAX_FIRST_LOOKS = 500

/** Doubts whose list looks stale: at first, whenever it has changed in the store, and whenever an event cannot be decrypted. */
export const watchStaleLists: Watcher = (client, raise, onError) => {
  async function look(userId: string): Promise<void> {
    const { signs } = await looksStaleInStore(client, userId)
    for (const doubt of doubtsOf(userId, signs)) raise(userId, 'staleList', doubt)
  }
  let stopped = false
  async function lookAtAll(): Promise<void> {
    for (const userId of encryptedRoomMembers(client).slice(0, MAX_FIRST_LOOKS)) if (!stopped) await look(userId)
  }
  const startLooking = () => {
    if (!client.isInitialSyncComplete()) return
    stopSync()
    lookAtAll().catch(onError)
  }
  const stopSync = listen(client, ClientEvent.Sync, startLooking)
  startLooking()
  const stopDevices = listen(client, CryptoEvent.DevicesUpdated, (userIds) => {
    for (const userId of userIds) look(userId).catch(onError)
  })
  const stopEvents = listen(client, MatrixEventEvent.Decrypted, (event) => {
    const sender = event.getSender()
    if (sender !== undefined && event.isDecryptionFailure()) look(sender).catch(onError)
  })
  return () => {
    stopped = true
    for (const stop of [stopSync, stopDevices, stopEvents]) stop()
  }
}

function encryptedRoomMembers(client: MatrixClient): string[] {
  const rooms = client.getRooms().filter((room) => room.hasEncryptionStateEvent())
  return [...new Set(rooms.flatMap((room) => room.getMembers().map(({ userId }) => userId)))]
}
