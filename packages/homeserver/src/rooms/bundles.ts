import type { EventId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { bundledChildren, type RelatedRow } from '../storage/event-relations.ts'
import type { Db } from '../storage/store.ts'
import type { ClientEvent } from './client-event.ts'
import type { ShownEvent } from './client-events.ts'
import type { RoomParts } from './ports.ts'
import type { Viewer } from './viewers.ts'
import { type SeenEvent, seenEvents } from './visibility.ts'

/** What is bundled with events: `m.relations` of each that has any. */
export type Bundles = ReadonlyMap<EventId, JsonObject>

/** Makes the client form of children, given what is bundled with these. */
type Format = (children: readonly SeenEvent[]) => Promise<(child: SeenEvent, bundles: Bundles) => ClientEvent>

type Parts = Pick<RoomParts, 'events' | 'states' | 'versions' | 'serverName'>

type Child = SeenEvent & { row: RelatedRow }

/**
 * Reads what relates to these events and the viewer may see: the latest edit, references, and what became of a thread,
 * whose latest event again comes with its own. State events get none. Client-server API, "Server-side aggregation of
 * m.replace", "of m.thread", "of m.reference".
 */
export async function bundlesOf(
  parts: Parts,
  db: Db,
  viewer: Viewer,
  shown: readonly ShownEvent[],
  format: Format,
): Promise<Bundles> {
  const children = await childrenOf(parts, db, viewer, shown)
  if (children.length === 0) return new Map()
  const latest = children.filter(({ row }) => row.rel_type === 'm.thread')
  const ofLatest = await childrenOf(parts, db, viewer, latest)
  const write = await format([...children, ...ofLatest])
  // What relates to the latest event of a thread is no thread again: that could go round.
  const nested = gather(
    viewer,
    latest,
    ofLatest.filter(({ row }) => row.rel_type !== 'm.thread'),
    (child) => write(child, new Map()),
  )
  return gather(viewer, shown, children, (child) => write(child, nested))
}

async function childrenOf(parts: Parts, db: Db, viewer: Viewer, shown: readonly ShownEvent[]): Promise<Child[]> {
  const parents = shown.filter(({ event }) => event.stateKey === undefined).map(({ event }) => event.eventId)
  if (parents.length === 0) return []
  const rows = await bundledChildren(db, parents, viewer.userId, [...viewer.ignored] as UserId[])
  return rows.length === 0 ? [] : ((await seenEvents(parts, db, viewer, rows)) as Child[])
}

/** @param children of all parents, the newest of each kind first */
function gather(
  viewer: Viewer,
  parents: readonly ShownEvent[],
  children: readonly Child[],
  write: (child: SeenEvent) => ClientEvent,
): Map<EventId, JsonObject> {
  const byParent = Map.groupBy(children, ({ row }) => row.relates_to)
  const bundles = new Map<EventId, JsonObject>()
  for (const { event } of parents) {
    const own = byParent.get(event.eventId)
    if (!own) continue
    const of = (type: string) => own.filter(({ row }) => row.rel_type === type)
    const edit = of('m.replace').find(isEdit)
    const references = of('m.reference')
    const [latest] = of('m.thread')
    const relations: Record<string, unknown> = {}
    if (edit) relations['m.replace'] = write(edit)
    if (references.length > 0) {
      relations['m.reference'] = { chunk: references.reverse().map((child) => ({ event_id: child.event.eventId })) }
    }
    if (latest) {
      relations['m.thread'] = {
        latest_event: write(latest),
        count: latest.row.total,
        current_user_participated: latest.row.participated === 1 || event.sender === viewer.userId,
      }
    }
    if (Object.keys(relations).length > 0) bundles.set(event.eventId, relations as JsonObject)
  }
  return bundles
}

/** Client-server API, "Validity of replacement events": what only the content says. Of encrypted ones nobody here knows. */
function isEdit({ event }: SeenEvent): boolean {
  return event.type === 'm.room.encrypted' || typeof event.content['m.new_content'] === 'object'
}
