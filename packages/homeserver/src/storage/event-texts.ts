import { sql } from 'kysely'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { isPostgres } from './dialect.ts'
import { prepared } from './prepared.ts'
import type { Db } from './store.ts'

/** The words of an event, separated by spaces, and where in it they stand. */
export type EventText = { eventId: EventId; roomId: RoomId; place: string; originServerTs: number; words: string }

const insertText = prepared<Omit<EventText, 'words'>, { id: number }>((db, value) =>
  db
    .insertInto('event_texts')
    .values({
      event_id: value('eventId'),
      room_id: value('roomId'),
      place: value('place'),
      origin_server_ts: value('originServerTs'),
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id'),
)
const insertWords = prepared<{ id: number; words: string }>((db, value) => ({
  compile: () =>
    sql<never>`insert into event_words (rowid, words) values (${value('id')}, ${value('words')})`.compile(db),
}))

/** Keeps the words of an event for searching; of one that is known they stay as they are. */
export async function addEventText(
  db: Db,
  { eventId, roomId, place, originServerTs, words }: EventText,
): Promise<void> {
  if (isPostgres(db)) {
    await sql`insert into event_texts (event_id, room_id, place, origin_server_ts, words)
      values (${eventId}, ${roomId}, ${place}, ${originServerTs}, to_tsvector('simple', ${words}))
      on conflict do nothing`.execute(db)
    return
  }
  const { rows } = await insertText(db, { eventId, roomId, place, originServerTs })
  if (rows[0]) await insertWords(db, { id: rows[0].id, words })
}

export async function removeEventText(db: Db, eventId: EventId): Promise<void> {
  const row = await db.deleteFrom('event_texts').where('event_id', '=', eventId).returning('id').executeTakeFirst()
  if (row && !isPostgres(db)) await sql`delete from event_words where rowid = ${row.id}`.execute(db)
}

export type TextQuery = {
  /** All of them have to occur. Letters and digits only. */
  words: readonly string[]
  /** Where they may stand. */
  places: readonly string[]
  /** Whose rooms: those that the user is or was in and has not forgotten, and that are not encrypted. */
  userId: UserId
  /** Only of these rooms. */
  roomIds: readonly string[] | undefined
  order: 'rank' | 'recent'
  /** Of texts that were added later than this one nothing is found. */
  newestId: number
  offset: number
  limit: number
}

export type TextHit = { eventId: EventId; rank: number }

/** The newest text that is kept. */
export async function newestTextId(db: Db): Promise<number> {
  const row = await db
    .selectFrom('event_texts')
    .select((eb) => eb.fn.max('id').as('id'))
    .executeTakeFirst()
  return row?.id ?? 0
}

/** Events in which the words occur, in order: the higher its rank, the better an event fits. */
export async function searchTexts(db: Db, query: TextQuery): Promise<TextHit[]> {
  const { words, places, userId, roomIds, order, newestId, offset, limit } = query
  const [from, matches, rank] = isPostgres(db) ? postgresMatch(words) : sqliteMatch(words)
  const { rows } = await sql<{ event_id: EventId; rank: number }>`
    select t.event_id, ${rank} as rank from ${from}
    where ${matches} and t.place in (${sql.join(places)}) and t.id <= ${newestId}
      and t.room_id in (
        select m.room_id from memberships m
        where m.user_id = ${userId} and m.forgotten = 0 and m.membership in ('join', 'leave', 'ban')
          and not exists (
            select 1 from current_state s
            where s.room_id = m.room_id and s.type = 'm.room.encryption' and s.state_key = ''
          )
      )
      ${roomIds ? sql`and t.room_id in (${sql.join(roomIds)})` : sql``}
    order by ${order === 'rank' ? sql`rank desc,` : sql``} t.origin_server_ts desc, t.id desc
    limit ${limit} offset ${offset}`.execute(db)
  return rows.map((row) => ({ eventId: row.event_id, rank: row.rank }))
}

function postgresMatch(words: readonly string[]) {
  const wanted = sql`plainto_tsquery('simple', ${words.join(' ')})`
  return [sql`event_texts t`, sql`t.words @@ ${wanted}`, sql`ts_rank(t.words, ${wanted})`] as const
}

function sqliteMatch(words: readonly string[]) {
  const wanted = words.map((word) => `"${word}"`).join(' ')
  return [
    sql`event_words inner join event_texts t on t.id = event_words.rowid`,
    sql`event_words match ${wanted}`,
    sql`-bm25(event_words)`,
  ] as const
}
