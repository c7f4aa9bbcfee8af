import type { Destination, ListOverview, StaleCount } from '../api/types.ts'
import { lengthInWords } from '../design/words.ts'

/** How a server stands with us. */
export type Breaker = 'closed' | 'open' | 'limited'

/** `limited`: it asked us to wait; `open`: requests to it fail, and one at a time probes it; `closed`: all is well. */
export function breakerOf({ failures, retry_after_until }: Destination, now: number): Breaker {
  if ((retry_after_until ?? 0) > now) return 'limited'
  return failures > 0 ? 'open' : 'closed'
}

/** How many there are of each, the most first. */
export function countBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): [name: string, count: number][] {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(nameOf(item), (counts.get(nameOf(item)) ?? 0) + 1)
  return [...counts].sort(([one, few], [other, many]) => many - few || one.localeCompare(other))
}

export const reasonOf = ({ reason }: Pick<ListOverview, 'reason'>) => reason || 'no reason known'

/** What ages of doubts are called. @param bounds upper bounds in ms, ascending; above the last is one age more */
export function ageNames(bounds: readonly number[]): string[] {
  const names = bounds.map((bound) => `up to ${lengthInWords(bound)}`)
  return [...names, `over ${lengthInWords(bounds.at(-1) ?? 0)}`]
}

/** A figure over time: what it was at each moment (epoch ms). */
type Line = { name: string; values: number[] }
export type Lines = { moments: number[]; lines: Line[] }

/**
 * What was counted over time, summed by name, as one line a name, the highest first. A name that was not counted at a moment
 * was zero then.
 * @param most lines; the others are one line, `others`
 */
export function linesOf(counts: readonly StaleCount[], nameOf: (count: StaleCount) => string, most = 5): Lines {
  const moments = [...new Set(counts.map(({ at }) => at))].sort((one, other) => one - other)
  const places = new Map(moments.map((at, place) => [at, place]))
  const lines = new Map<string, number[]>()
  for (const count of counts) {
    if (count.count === 0) continue
    const values = lines.get(nameOf(count)) ?? moments.map(() => 0)
    values[places.get(count.at)!]! += count.count
    lines.set(nameOf(count), values)
  }
  const sorted = [...lines].map(([name, values]) => ({ name, values }))
  sorted.sort((one, other) => sum(other.values) - sum(one.values))
  if (sorted.length <= most) return { moments, lines: sorted }
  const rest = sorted.slice(most - 1)
  const others = moments.map((_, place) => sum(rest.map(({ values }) => values[place]!)))
  return { moments, lines: [...sorted.slice(0, most - 1), { name: 'others', values: others }] }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
