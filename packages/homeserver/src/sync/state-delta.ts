import { type StateMap, stateEntry } from '../matrix/events.ts'
import type { EventId } from '../matrix/ids.ts'
import type { StateChange } from '../storage/room-state.ts'
import type { SeenEvent } from './ports.ts'

type Shown = Pick<SeenEvent, 'event' | 'replaces' | 'row'>

/**
 * The state that a client is sent beside a timeline, as event IDs by entry: so that with it and the timeline's own state
 * events, the client has the state at the end. Client-server API, "Syncing", `state`; with `stateAfter`, `state_after`.
 * @param known all of the state at the end, for a client that has nothing; else how it changed since the client's token
 * @param shown the timeline, oldest first
 */
export function stateBeside(
  known: { state: StateMap } | { changes: readonly StateChange[] },
  shown: readonly Shown[],
  stateAfter: boolean,
): Map<string, EventId> {
  const wanted = new Map<string, EventId>()
  const inTimeline = stateAfter ? new Map<string, Shown>() : firstOfEach(shown)
  const ends = 'state' in known ? known.state : endsOf(known.changes)
  for (const [entry, eventId] of ends) if (!inTimeline.has(entry) && eventId !== null) wanted.set(entry, eventId)
  for (const [entry, { replaces, row }] of inTimeline) {
    if (replaces === undefined) continue
    // What the client has already is not sent again: only what the timeline does not tell of.
    const isNews =
      'state' in known
        ? ends.has(entry)
        : known.changes.some((one) => entryOf(one) === entry && one.position < row.position!)
    if (isNews) wanted.set(entry, replaces)
  }
  return wanted
}

function firstOfEach(shown: readonly Shown[]): Map<string, Shown> {
  const first = new Map<string, Shown>()
  for (const one of shown) {
    const { type, stateKey } = one.event
    if (stateKey === undefined) continue
    const entry = stateEntry(type, stateKey)
    if (!first.has(entry)) first.set(entry, one)
  }
  return first
}

const entryOf = (change: StateChange) => stateEntry(change.type, change.state_key)

const endsOf = (changes: readonly StateChange[]): Map<string, EventId | null> =>
  new Map(changes.map((change) => [entryOf(change), change.event_id]))
