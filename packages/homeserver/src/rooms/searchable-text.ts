import type { RoomEvent } from '../matrix/events.ts'
import { isObject } from '../matrix/json.ts'
import { addEventText } from '../storage/event-texts.ts'
import type { Db } from '../storage/store.ts'

/** What can be searched in. Client-server API, "Server Side Search", "room_events". */
export const SEARCHED = ['content.body', 'content.name', 'content.topic'] as const
export type SearchedPlace = (typeof SEARCHED)[number]

/** Of one event, so many words are kept. */
const MAX_WORDS = 2_000
const MAX_WORD_LENGTH = 100

/** Keeps what can be searched for of an event, if there is any. */
export async function keepText(db: Db, event: RoomEvent): Promise<void> {
  const text = searchableText(event)
  const words = text && wordsOf(text.text).join(' ')
  if (!words) return
  const { eventId, roomId, originServerTs } = event
  await addEventText(db, { eventId, roomId, originServerTs, place: text.place, words })
}

/** The text of an event that is searched in. */
export function searchableText({
  type,
  stateKey,
  content,
}: Pick<RoomEvent, 'type' | 'stateKey' | 'content'>): { place: SearchedPlace; text: string } | undefined {
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  if (type === 'm.room.message') return { place: 'content.body', text: text(content.body) }
  if (stateKey !== '') return undefined
  if (type === 'm.room.name') return { place: 'content.name', text: text(content.name) }
  if (type === 'm.room.topic') {
    return { place: 'content.topic', text: `${text(content.topic)} ${plainTopic(content['m.topic'])}` }
  }
  return undefined
}

/** The plain text among the representations of a topic; one without a type is plain. Client-server API, "m.room.topic". */
function plainTopic(topic: unknown): string {
  const representations = isObject(topic) && Array.isArray(topic['m.text']) ? topic['m.text'] : []
  const plain = representations.find(
    (one) => isObject(one) && (one.mimetype ?? 'text/plain') === 'text/plain' && typeof one.body === 'string',
  )
  return plain?.body ?? ''
}

/** The words of a text, the same for all ways to write them: without accents, in small letters. In order, each once. */
export function wordsOf(text: string): string[] {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
  const words = plain.match(/[\p{L}\p{N}]+/gu) ?? []
  return [...new Set(words.filter((word) => word.length <= MAX_WORD_LENGTH))].slice(0, MAX_WORDS)
}
