import { type StateMap, stateEntry, stateEntryParts } from '../matrix/events.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { createSizedCache } from '../platform/bounded-cache.ts'
import { addStateGroup, type StateGroupEntry, type StateGroupRow, stateGroupRows } from '../storage/state-groups.ts'
import { type Db, type Tx, whenCertain } from '../storage/store.ts'

/** A state that is kept: its group's ID and what is in it. */
export type State = { id: number; map: StateMap }

/** How a state differs from another: new event IDs by entry, `null` where the entry is gone. */
export type StateDelta = ReadonlyMap<string, EventId | null>

/** States of rooms, each kept once, as its difference from one before it. */
export type States = {
  load(db: Db, id: number): Promise<State>
  loadAll(db: Db, ids: readonly number[]): Promise<Map<number, State>>
  /** What stands under some entries of each of these states, without putting together the rest of them. */
  pick(db: Db, wanted: ReadonlyMap<number, Iterable<string>>): Promise<Map<number, Map<string, EventId>>>
  /** Keeps the state that differs from `base` by `delta`; without a base, `delta` is all of it. */
  derive(tx: Tx, roomId: RoomId, base: State | undefined, delta: StateDelta): Promise<State>
}

/** After so many differences, a state is written whole: reading one stays cheap. */
const MAX_HOPS = 50
/** Entries of all states in memory. */
const KEPT_ENTRIES = 100_000

export function createStates(): States {
  // A state group never changes once it is committed, so no process can make this stale.
  const kept = createSizedCache<number, { state: State; hops: number }>(KEPT_ENTRIES, ({ state }) => state.map.size + 1)

  async function loadAll(db: Db, ids: readonly number[]): Promise<Map<number, State>> {
    const found = new Map<number, State>()
    const missing: number[] = []
    for (const id of new Set(ids)) {
      const known = kept.get(id)
      if (known) found.set(id, known.state)
      else missing.push(id)
    }
    if (missing.length === 0) return found
    const rows = await stateGroupRows(db, missing)
    for (const id of missing) {
      const state = { id, map: assemble(id, rows) }
      found.set(id, state)
      whenCertain(db, () => kept.set(id, { state, hops: rows.get(id)!.hops }))
    }
    return found
  }

  return {
    loadAll,
    load: async (db, id) => (await loadAll(db, [id])).get(id)!,

    async pick(db, wanted) {
      const ids = [...wanted.keys()]
      const whole = new Map(ids.map((id) => [id, kept.get(id)?.state.map]))
      const missing = ids.filter((id) => !whole.get(id))
      const look = lookInto(missing.length === 0 ? new Map() : await stateGroupRows(db, missing))
      return new Map(
        ids.map((id) => {
          const map = whole.get(id)
          const picked = new Map<string, EventId>()
          for (const entry of wanted.get(id)!) {
            const eventId = map ? map.get(entry) : look(id, entry)
            if (eventId !== undefined) picked.set(entry, eventId)
          }
          return [id, picked]
        }),
      )
    },

    async derive(tx, roomId, base, delta) {
      const map = new Map(base?.map)
      for (const [entry, eventId] of delta) {
        if (eventId === null) map.delete(entry)
        else map.set(entry, eventId)
      }
      const hops = base ? ((kept.get(base.id)?.hops ?? (await hopsOf(tx.db, base.id))) + 1) % MAX_HOPS : 0
      const entries = [...(hops === 0 ? map : delta)].map(([entry, eventId]): StateGroupEntry => {
        const [type, stateKey] = stateEntryParts(entry)
        return [type, stateKey, eventId]
      })
      const id = await addStateGroup(tx.db, roomId, { prevId: hops === 0 ? null : base!.id, hops, entries })
      const state = { id, map }
      tx.afterCommit(() => kept.set(id, { state, hops }))
      return state
    },
  }
}

async function hopsOf(db: Db, id: number): Promise<number> {
  return (await stateGroupRows(db, [id])).get(id)!.hops
}

/** The state of a group: from the one that has all entries, forward. */
function assemble(id: number, rows: ReadonlyMap<number, StateGroupRow>): StateMap {
  const way: StateGroupRow[] = []
  for (let at = rows.get(id); at; at = at.prevId === null ? undefined : rows.get(at.prevId)) way.push(at)
  const map = new Map<string, EventId>()
  for (const row of way.reverse()) {
    for (const [type, stateKey, eventId] of row.entries) {
      if (eventId === null) map.delete(stateEntry(type, stateKey))
      else map.set(stateEntry(type, stateKey), eventId)
    }
  }
  return map
}

/** Finds single entries: from a group back to the one that last set them. */
function lookInto(rows: ReadonlyMap<number, StateGroupRow>) {
  const indexes = new Map<number, Map<string, EventId | null>>()
  const indexOf = (row: StateGroupRow) => {
    const index =
      indexes.get(row.id) ?? new Map(row.entries.map(([type, stateKey, id]) => [stateEntry(type, stateKey), id]))
    indexes.set(row.id, index)
    return index
  }
  return (id: number, entry: string): EventId | undefined => {
    for (let at = rows.get(id); at; at = at.prevId === null ? undefined : rows.get(at.prevId)) {
      const eventId = indexOf(at).get(entry)
      if (eventId !== undefined) return eventId ?? undefined
    }
    return undefined
  }
}

/** What has to be done to `before` to get `after`. */
export function differenceOf(before: StateMap, after: StateMap): Map<string, EventId | null> {
  const delta = new Map<string, EventId | null>()
  for (const [entry, eventId] of after) if (before.get(entry) !== eventId) delta.set(entry, eventId)
  for (const entry of before.keys()) if (!after.has(entry)) delta.set(entry, null)
  return delta
}
