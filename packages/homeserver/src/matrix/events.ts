import type { EventId, RoomId, UserId } from './ids.ts'
import type { JsonObject } from './json.ts'

/**
 * A persistent data unit as it goes on the wire, in the form of its room's version, its shape checked. Members that are
 * not named here are kept: they are part of what is hashed and signed. Room versions, "Event format".
 */
export type Pdu = JsonObject & {
  type: string
  sender: string
  content: JsonObject
  depth: number
  origin_server_ts: number
  hashes: { sha256: string }
  signatures: { [signer: string]: { [keyId: string]: string } }
}

/**
 * An event of a room, the same for all room versions: what the rules look at, beside the wire form that it was read
 * from. Immutable. Redaction gives another value with the same ID.
 */
export type RoomEvent = {
  readonly eventId: EventId
  /** Of an `m.room.create` of room version 12 and later: made of its event ID. */
  readonly roomId: RoomId
  readonly type: string
  /** `undefined` for an event that is no state. */
  readonly stateKey: string | undefined
  readonly sender: UserId
  readonly content: JsonObject
  readonly depth: number
  /** Epoch ms, as the sender's server says. */
  readonly originServerTs: number
  readonly prevEvents: readonly EventId[]
  /** As listed: in room version 12 and later the create event is not among them. */
  readonly authEvents: readonly EventId[]
  /** What an `m.room.redaction` redacts, wherever its room version says it. */
  readonly redacts: EventId | undefined
  readonly pdu: Pdu
}

/** Names one piece of a room's state: event type and state key. */
export type StateKeyTuple = readonly [type: string, stateKey: string]

/** A room's state: event IDs by `stateEntry(type, stateKey)`. */
export type StateMap = ReadonlyMap<string, EventId>

/** The key of a `StateMap`. A type with a NUL is none that an event can have, so no two pieces share a key. */
export function stateEntry(type: string, stateKey: string): string {
  return `${type}\0${stateKey}`
}

/** The type and state key that `stateEntry` was made of. */
export function stateEntryParts(entry: string): StateKeyTuple {
  const nul = entry.indexOf('\0')
  return [entry.slice(0, nul), entry.slice(nul + 1)]
}
