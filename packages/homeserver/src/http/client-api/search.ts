import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import type { RoomEventFilter } from '../../matrix/room-event-filter.ts'
import { SEARCHED } from '../../rooms/searchable-text.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const DEFAULT_RESULTS = 10
const MAX_RESULTS = 50
/** Events before and after each result. */
const DEFAULT_CONTEXT = 5
const MAX_CONTEXT = 20

const oneOf = <Values extends readonly string[]>(values: Values) =>
  Type.Unsafe<Values[number]>({ type: 'string', enum: [...values] })
const count = Type.Optional(Type.Integer({ minimum: 0 }))
const criteria = Type.Object({
  search_term: Type.String({ maxLength: 1_000 }),
  keys: Type.Optional(Type.Array(oneOf(SEARCHED))),
  filter: Type.Optional(Type.Unsafe<RoomEventFilter>(Type.Object({}))),
  order_by: Type.Optional(oneOf(['rank', 'recent'] as const)),
  event_context: Type.Optional(
    Type.Object({ before_limit: count, after_limit: count, include_profile: Type.Optional(Type.Boolean()) }),
  ),
  include_state: Type.Optional(Type.Boolean()),
  groupings: Type.Optional(
    Type.Object({
      group_by: Type.Optional(Type.Array(Type.Object({ key: oneOf(['room_id', 'sender'] as const) }), { maxItems: 2 })),
    }),
  ),
})
const schema = {
  querystring: Type.Object({ next_batch: Type.Optional(Type.String()) }),
  body: Type.Object({ search_categories: Type.Object({ room_events: Type.Optional(criteria) }) }),
}

/** Client-server API, "Server Side Search". */
export function search(app: App, ctx: Context): void {
  for (const path of clientPaths('/search')) {
    app.post(path, { schema }, async ({ requester, body, query }) => {
      const asked = body.search_categories.room_events
      if (!asked) return { search_categories: {} }
      const { filter = {}, event_context: context, keys = [] } = asked
      ctx.users.checkFilter({ room: { timeline: filter } })
      const found = await ctx.rooms.reading.search(requester, {
        term: asked.search_term,
        places: keys.length > 0 ? keys : SEARCHED,
        filter,
        order: asked.order_by ?? 'rank',
        limit: Math.min(Math.max(filter.limit ?? DEFAULT_RESULTS, 1), MAX_RESULTS),
        context: context && {
          before: Math.min(context.before_limit ?? DEFAULT_CONTEXT, MAX_CONTEXT),
          after: Math.min(context.after_limit ?? DEFAULT_CONTEXT, MAX_CONTEXT),
          profiles: context.include_profile ?? false,
        },
        includeState: asked.include_state ?? false,
        groupBy: (asked.groupings?.group_by ?? []).map(({ key }) => key),
        nextBatch: query.next_batch || undefined,
      })
      return { search_categories: { room_events: found } }
    })
  }
}
