/** How often may be asked, in all and for one user, within the windows that the homeserver counts in. */
export type Budget = {
  /** Milliseconds until one more request for the user is within the limits; 0 if it is now. */
  waitMs(userId: string, now: number): number
  /** Counts a request. */
  spend(userId: string, now: number): void
}

/** Evergreen allows 30 requests a minute, and 5 in 30 seconds for one user. One of each is left to the person's own clicks. */
const PER_USER = { count: 4, windowMs: 30_000 }
const IN_ALL_WINDOW_MS = 60_000
/** The most that {@link watch} asks in a minute. */
export const MOST_PER_MINUTE = 29

/** @param perMinute at most {@link MOST_PER_MINUTE} */
export function createBudget(perMinute: number): Budget {
  const count = Math.min(perMinute, MOST_PER_MINUTE)
  let spent: { userId: string; at: number }[] = []

  function waitOf(times: readonly number[], limit: { count: number; windowMs: number }, now: number): number {
    const deciding = times.at(-limit.count)
    return deciding === undefined ? 0 : Math.max(0, deciding + limit.windowMs - now)
  }

  return {
    waitMs(userId, now) {
      const ofUser = spent.filter((request) => request.userId === userId)
      return Math.max(
        waitOf(
          ofUser.map(({ at }) => at),
          PER_USER,
          now,
        ),
        waitOf(
          spent.map(({ at }) => at),
          { count, windowMs: IN_ALL_WINDOW_MS },
          now,
        ),
      )
    },
    spend(userId, now) {
      spent = [...spent.filter(({ at }) => at + IN_ALL_WINDOW_MS > now), { userId, at: now }]
    },
  }
}
