import assert from 'node:assert/strict'
import type { RoomEvent, StateMap } from '../../src/matrix/events.ts'
import { stateEntry } from '../../src/matrix/events.ts'
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { signingKeyFromSeed } from '../../src/matrix/signing.ts'
import { authEventKeys } from '../../src/state/auth-events.ts'
import { buildEvent, type EventDraft } from '../../src/state/build-event.ts'
import { referenceHash } from '../../src/state/hashes.ts'
import { type RoomVersion, roomVersion } from '../../src/state/room-versions.ts'

export const alice = '@alice:a.example' as UserId
export const bob = '@bob:b.example' as UserId
export const carol = '@carol:c.example' as UserId
export const dave = '@dave:d.example' as UserId

export const testKey = signingKeyFromSeed('ed25519:test', Buffer.alloc(32, 7))

/** What a test says of an event; the rest follows from the branch that it is said on. */
export type Said = { type: string; stateKey?: string; sender: UserId; content?: JsonObject } & Partial<EventDraft>

/** One line of a room's history: its last event and the state after it. */
export type Branch = { last: RoomEvent | undefined; state: StateMap }

/** The room version, which must exist. */
export function versionOf(id: string): RoomVersion {
  const version = roomVersion(id)
  assert.ok(version)
  return version
}

/** Makes a room's events without any server: properly linked, hashed and signed. Alice on a.example created it. */
export function createTestRoom(version: RoomVersion, createContent: JsonObject = {}) {
  const events = new Map<EventId, RoomEvent>()
  let made = 0

  /** Builds an event on a branch, whether or not the rules allow it. */
  function build(branch: Branch, said: Said): RoomEvent {
    made++
    const { content = {}, ...rest } = said
    const authEvents = authEventKeys({ ...said, content }, version).flatMap(
      ([type, key]) => branch.state.get(stateEntry(type, key)) ?? [],
    )
    const draft: EventDraft = {
      roomId: create?.roomId ?? (version.roomIdIsCreateEvent ? undefined : ('!room:a.example' as RoomId)),
      prevEvents: branch.last ? [branch.last.eventId] : [],
      authEvents,
      depth: (branch.last?.depth ?? 0) + 1,
      originServerTs: 1_000_000 + made,
      eventId: `$${made}:${serverNameOf(said.sender)}` as EventId,
      referenceHashOf: (eventId) => referenceHash(events.get(eventId)!.pdu, version),
      content,
      ...rest,
    }
    const event = buildEvent(draft, version, serverNameOf(said.sender), testKey)
    assert.ok(!('invalid' in event), JSON.stringify(event))
    events.set(event.eventId, event)
    return event
  }

  /** The branch with the event at its end. */
  function add(branch: Branch, said: Said): Branch {
    const event = build(branch, said)
    const state = new Map(branch.state)
    if (event.stateKey !== undefined) state.set(stateEntry(event.type, event.stateKey), event.eventId)
    return { last: event, state }
  }

  const creator = version.creatorInContent ? { creator: alice } : {}
  let create: RoomEvent | undefined
  const created = add(
    { last: undefined, state: new Map() },
    {
      type: 'm.room.create',
      stateKey: '',
      sender: alice,
      content: { room_version: version.id, ...creator, ...createContent },
    },
  )
  create = created.last!

  return {
    version,
    events,
    create,
    /** The room with nothing but its `m.room.create`. */
    created,
    build,
    add,
    /** The branch with several events at its end, one after the other. */
    addAll: (branch: Branch, ...said: Said[]) => said.reduce(add, branch),
    /** The state of a branch as the rules ask for it. */
    view: (branch: Branch) => (type: string, key: string) => events.get(branch.state.get(stateEntry(type, key))!),
  }
}

export type TestRoom = ReturnType<typeof createTestRoom>

/** A membership event; of the sender's own, unless a target is given. */
export const member = (sender: UserId, membership: string, target: UserId = sender, more: JsonObject = {}): Said => ({
  type: 'm.room.member',
  stateKey: target,
  sender,
  content: { membership, ...more },
})

export const joinRules = (sender: UserId, rule: string): Said => ({
  type: 'm.room.join_rules',
  stateKey: '',
  sender,
  content: { join_rule: rule },
})

export const levels = (sender: UserId, content: JsonObject): Said => ({
  type: 'm.room.power_levels',
  stateKey: '',
  sender,
  content,
})

export const named = (sender: UserId, name: string): Said => ({
  type: 'm.room.name',
  stateKey: '',
  sender,
  content: { name },
})

/** The server of a test user. */
export const serverOf = (userId: UserId): ServerName => serverNameOf(userId)
