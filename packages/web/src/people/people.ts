import type { DeviceList, DeviceListNews, DeviceListState } from '../api/types.ts'
import type { PersonKeys } from './trust.ts'

/** The lists that are known, by user ID. */
export type People = ReadonlyMap<string, DeviceList>

/** What is known after news. @param isAll whether the news are everything there is */
export function withNews(people: People, news: DeviceListNews, isAll: boolean): People {
  const next = new Map(isAll ? [] : people)
  for (const list of news.lists) next.set(list.user_id, list)
  for (const userId of news.removed) next.delete(userId)
  return next
}

export type Order = 'name' | 'state' | 'age'

/** The worst first. */
const RANKS: Record<DeviceListState, number> = { failing: 0, pending: 1, untracked: 2, fresh: 3 }

/** Who has an empty name has none. */
export const nameOf = (list: DeviceList) => list.display_name?.trim() || list.user_id

/** When a list was fetched, for its place among others: those of our own homeserver never are, and are always right. */
const fetchedAt = (list: DeviceList) => list.synced_at ?? (list.state === 'fresh' ? Number.MAX_SAFE_INTEGER : 0)

/** Those whose name or user ID has the words that are searched for, in order: by name; the worst state; the oldest list. */
export function shown(people: People, search: string, order: Order): DeviceList[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean)
  const found = [...people.values()].filter((list) => {
    const text = `${nameOf(list)} ${list.user_id}`.toLocaleLowerCase()
    return words.every((word) => text.includes(word))
  })
  const byName = (one: DeviceList, other: DeviceList) =>
    nameOf(one).localeCompare(nameOf(other)) || one.user_id.localeCompare(other.user_id)
  return found.sort((one, other) => {
    if (order === 'state') return RANKS[one.state] - RANKS[other.state] || byName(one, other)
    if (order === 'age') return fetchedAt(one) - fetchedAt(other) || byName(one, other)
    return byName(one, other)
  })
}

/** Why a list looks as if it were not the owner's own, in words; nothing if it does not. */
export function signsOfStaleness(list: DeviceList, keys: PersonKeys | undefined): string[] {
  const signs: string[] = []
  if (list.state === 'failing') signs.push('their server could not be asked')
  if (list.state === 'pending') signs.push('it is in doubt')
  if (list.state === 'untracked') signs.push('it was never fetched')
  if (list.state === 'fresh' && list.devices === 0) signs.push('they have no devices')
  if (keys && keys.devices.length > 0 && keys.crossSigning && !keys.devices.some(({ mark }) => mark === 'signed'))
    signs.push('they use cross-signing, and none of their devices is signed')
  return signs
}
