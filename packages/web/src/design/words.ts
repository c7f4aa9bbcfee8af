const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const

/** A length of time in its largest unit, such as "3 minutes". @param ms milliseconds, not negative */
export function lengthInWords(ms: number): string {
  for (const [unit, length] of UNITS) {
    const count = Math.floor(ms / length)
    if (count > 0) return `${count} ${unit}${count === 1 ? '' : 's'}`
  }
  return 'a moment'
}

/** How far a moment is from now, such as "3 minutes ago" or "in 12 seconds"; both in epoch milliseconds. */
export function distanceInWords(at: number, now: number): string {
  // Two clocks are never quite the same.
  if (at > now + 1_000) return `in ${lengthInWords(at - now)}`
  return now - at < 5_000 ? 'just now' : `${lengthInWords(now - at)} ago`
}

export const counted = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`
