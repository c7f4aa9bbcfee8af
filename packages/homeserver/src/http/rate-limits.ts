import type { FastifyRequest } from 'fastify'
import type { Context } from '../context.ts'
import { limitExceeded } from '../matrix/errors.ts'
import { networkOf } from '../platform/network-of.ts'
import { sharedBucket } from '../storage/shared-limits.ts'
import type { App } from './app.ts'

const MINUTE = 60_000

/**
 * How much of what costs anybody may do: a user, another server, or for what needs no login an address. Generous for a person and
 * her clients, a wall for a flood. Refreshes and
 * guessed passwords have closer limits where they are made.
 */
const LIMITS = {
  /** Makes a session, or shows the way to one. */
  login: { limit: 120, windowMs: MINUTE },
  registration: { limit: 120, windowMs: MINUTE },
  /** Asks for a password again. */
  account: { limit: 300, windowMs: MINUTE },
  /** Whatever else a user changes. */
  writes: { limit: 1_200, windowMs: MINUTE },
  keys: { limit: 600, windowMs: MINUTE },
  /** May make us ask another server. */
  profile: { limit: 300, windowMs: MINUTE },
  /** What one other server may ask. */
  federation: { limit: 6_000, windowMs: MINUTE },
  /** What one address may ask of the federation API in names that do not prove true. */
  strangers: { limit: 300, windowMs: MINUTE },
} as const

export type RateLimit = keyof typeof LIMITS

/** Spends one of what `key` may do, or throws `M_LIMIT_EXCEEDED`. */
export type Spend = (limit: RateLimit, key: string) => Promise<void>

export function createSpend({ store, clock, settings }: Pick<Context, 'store' | 'clock' | 'settings'>): Spend {
  const buckets = Object.fromEntries(
    Object.entries(LIMITS).map(([name, limit]) => [name, sharedBucket(store, clock, name, limit)]),
  )
  return async (limit, key) => {
    const wait = settings.rateLimits ? await buckets[limit]!.take(key) : 0
    if (wait > 0) throw limitExceeded(wait)
  }
}

/** Limits every route added to `app` after this that says what it `costs`, or changes something for a user. */
export function limitRates(app: App, spend: Spend): void {
  app.addHook('preHandler', async (request) => {
    const { costs = changes(request) ? 'writes' : undefined } = request.routeOptions.config
    if (costs) await spend(costs, payerOf(request))
  })
}

const changes = ({ method, requester }: FastifyRequest) => requester !== undefined && method !== 'GET'

function payerOf({ requester, origin, ip }: FastifyRequest): string {
  return requester?.userId ?? origin ?? networkOf(ip)
}
