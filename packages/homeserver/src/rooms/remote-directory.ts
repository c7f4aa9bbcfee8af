import { forbidden, MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import type { RoomParts } from './ports.ts'
import { type DirectoryPage, type DirectoryQuery, entryOf } from './public-rooms.ts'
import { readSummary } from './room-summary.ts'

const PATH = '/_matrix/federation/v1/publicRooms'
const TIMEOUT_MS = 30_000
const MAX_BYTES = 4 * 1024 * 1024
/** Rooms of one page that are taken. */
const MAX_ROOMS = 1_000

/** The directories of other servers. Server-server API, "Published room directory". */
export type RemoteDirectory = {
  /** @throws `M_FORBIDDEN` for a server that we do not talk to; 502 `M_UNKNOWN` if it has no answer */
  listOf(server: ServerName, query: DirectoryQuery): Promise<DirectoryPage>
}

export function createRemoteDirectory({ remote }: RoomParts): RemoteDirectory {
  return {
    async listOf(server, query) {
      if (!remote.isAllowed(server)) throw forbidden('This server does not talk to that server')
      const options = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES }
      const answer = await remote.request(server, { ...requestFor(query), ...options })
      if (answer.kind !== 'answer' || answer.status !== 200 || !isObject(answer.body)) throw unreachable()
      return readPage(answer.body)
    },
  }
}

/** What is not filtered is asked for as older servers know it. */
function requestFor({ limit, since, searchTerm, roomTypes }: DirectoryQuery) {
  const page = { ...(limit !== undefined && { limit }), ...(since !== undefined && { since }) }
  if (searchTerm === undefined && roomTypes === undefined) {
    const texts = Object.entries(page).map(([name, value]): [string, string] => [name, String(value)])
    const query = new URLSearchParams(texts).toString()
    return { method: 'GET', path: query === '' ? PATH : `${PATH}?${query}` } as const
  }
  const filter = {
    ...(searchTerm !== undefined && { generic_search_term: searchTerm }),
    ...(roomTypes !== undefined && { room_types: roomTypes }),
  }
  return { method: 'POST', path: PATH, body: { ...page, filter } } as const
}

function readPage(body: Record<string, unknown>): DirectoryPage {
  const { chunk, next_batch: next, prev_batch: previous, total_room_count_estimate: total } = body
  const rooms = (Array.isArray(chunk) ? chunk : []).slice(0, MAX_ROOMS)
  return {
    chunk: rooms.flatMap((room) => {
      const summary = readSummary(room)
      return summary ? [entryOf(summary)] : []
    }),
    ...(isToken(next) && { next_batch: next }),
    ...(isToken(previous) && { prev_batch: previous }),
    ...(Number.isSafeInteger(total) && { total_room_count_estimate: total as number }),
  }
}

const isToken = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= 4_096

const unreachable = () => new MatrixError(502, 'M_UNKNOWN', 'The remote server has not given its room directory')
