import { Type } from 'typebox'
import { invalidParam } from '../matrix/errors.ts'
import type { DirectoryQuery } from '../rooms/public-rooms.ts'
import { plainText } from './plain-text.ts'

const text = Type.Optional(Type.String())
const orNull = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

/** What `GET /publicRooms` takes, from clients and from servers; numbers are text there. */
export const directoryQuerySchema = { limit: text, since: text }

/** What `POST /publicRooms` takes, from clients and from servers. */
export const directoryBody = Type.Object({
  limit: orNull(Type.Integer()),
  since: orNull(plainText(4_096)),
  filter: orNull(
    Type.Object({
      generic_search_term: orNull(Type.String({ maxLength: 1_000 })),
      room_types: orNull(Type.Array(Type.Union([plainText(255), Type.Null()]), { maxItems: 100 })),
    }),
  ),
})

/** A query without a filter. @throws `M_INVALID_PARAM` for a limit that is no number */
export function directoryQuery({ limit, since }: { limit?: string; since?: string }): DirectoryQuery {
  const isLeftOut = limit === undefined || limit === ''
  if (!isLeftOut && !/^[0-9]{1,9}$/.test(limit)) throw invalidParam('limit is not a number')
  return directoryQueryOf({ limit: isLeftOut ? null : Number(limit), since: since === '' ? null : since })
}

/** A query as a body says it. A limit of zero is none. */
export function directoryQueryOf(body: {
  limit?: number | null
  since?: string | null | undefined
  filter?: { generic_search_term?: string | null; room_types?: (string | null)[] | null } | null
}): DirectoryQuery {
  const { limit, since, filter } = body
  return {
    limit: limit && limit > 0 ? limit : undefined,
    since: since ?? undefined,
    searchTerm: filter?.generic_search_term ?? undefined,
    roomTypes: filter?.room_types ?? undefined,
  }
}
