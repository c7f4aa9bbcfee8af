import type { RoomEvent } from '../../matrix/events.ts'
import type { EventId } from '../../matrix/ids.ts'
import { createSemaphore } from '../../platform/semaphore.ts'
import { eventFacts } from '../../storage/events.ts'
import { askForAuthChain, askForEvent, type Source } from '../ask-servers.ts'
import { judgeOutliers, neededToJudge, storeOutliers } from '../outliers.ts'
import type { RoomParts } from '../ports.ts'

type Parts = Pick<RoomParts, 'remote' | 'clock' | 'events' | 'store'>

/** Rounds of asking for what authorizes what was got before, and events that are asked for one by one in all. */
const MAX_ROUNDS = 10
const MAX_SINGLE = 200
const PARALLEL = 8

/**
 * Gets the events that authorize `event`, so far as they are missing, with all that authorizes them: the auth chain at
 * once, and one by one what that lacks. They are judged and kept outside of the graph.
 * @returns whether all are here now
 */
export async function fetchAuthEvents(parts: Parts, from: Source, event: RoomEvent): Promise<boolean> {
  const missing = () => missingOf(parts, neededToJudge(event, from.version))
  if ((await missing()).length === 0) return true
  const chain = await askForAuthChain(parts, from, event.eventId)
  if (chain) await keep(parts, from, chain)
  const left = await missing()
  if (left.length === 0) return true
  await fetchOutliers(parts, from, left)
  return (await missing()).length === 0
}

/** Gets events one by one, and what authorizes them as far as that is missing; keeps those that could be judged. */
export async function fetchOutliers(parts: Parts, from: Source, eventIds: readonly EventId[]): Promise<void> {
  const got = new Map<EventId, RoomEvent>()
  const asked = new Set<EventId>()
  const permits = createSemaphore(PARALLEL)
  let wanted: readonly EventId[] = eventIds
  for (let round = 0; round < MAX_ROUNDS && wanted.length > 0; round++) {
    const some = wanted.slice(0, MAX_SINGLE - asked.size)
    for (const id of some) asked.add(id)
    const found = await Promise.all(some.map((id) => permits.run(() => askForEvent(parts, from, id))))
    for (const one of found) if (one) got.set(one.eventId, one)
    const needed = new Set(found.flatMap((one) => (one ? neededToJudge(one, from.version) : [])))
    wanted = await missingOf(
      parts,
      [...needed].filter((id) => !asked.has(id)),
    )
  }
  await keep(parts, from, [...got.values()])
}

/** Judges events and keeps them outside of the graph. */
export async function keep(parts: Parts, room: Source, events: readonly RoomEvent[]): Promise<void> {
  if (events.length === 0) return
  const known = await eventFacts(
    parts.store.db,
    events.map((event) => event.eventId),
  )
  const fresh = events.filter((event) => !known.has(event.eventId))
  const judged = await judgeOutliers(parts, parts.store.db, room, fresh)
  if (judged.length > 0) await parts.store.transaction((tx) => storeOutliers(parts, tx, judged))
}

/** Those of the events that are not known, in or outside of the graph. */
export async function missingOf({ store }: Pick<RoomParts, 'store'>, eventIds: readonly EventId[]): Promise<EventId[]> {
  const known = await eventFacts(store.db, eventIds)
  return [...new Set(eventIds)].filter((id) => !known.has(id))
}
