import type { StateMap } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'

/** What several states agree on, and what they do not: of each disputed piece of state all the events that hold it. */
export type Division = {
  readonly unconflicted: StateMap
  readonly conflicted: ReadonlyMap<string, ReadonlySet<EventId>>
}

/**
 * Divides states. Room versions, "Unconflicted state map and conflicted state set".
 * @param absenceConflicts whether a piece that one state has and another lacks is disputed: in room version 1 it is not
 */
export function divide(sets: readonly StateMap[], absenceConflicts: boolean): Division {
  const unconflicted = new Map<string, EventId>()
  const conflicted = new Map<string, Set<EventId>>()
  for (const set of sets) {
    for (const [entry, eventId] of set) {
      if (unconflicted.has(entry) || conflicted.has(entry)) continue
      const agrees = (other: StateMap) => {
        const held = other.get(entry)
        return held === eventId || (held === undefined && !absenceConflicts)
      }
      if (sets.every(agrees)) unconflicted.set(entry, eventId)
      else conflicted.set(entry, holdersOf(entry, sets))
    }
  }
  return { unconflicted, conflicted }
}

function holdersOf(entry: string, sets: readonly StateMap[]): Set<EventId> {
  return new Set(sets.map((set) => set.get(entry)).filter((eventId) => eventId !== undefined))
}
