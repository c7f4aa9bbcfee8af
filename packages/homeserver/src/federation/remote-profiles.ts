import { MatrixError } from '../matrix/errors.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import type { Clock } from '../platform/clock.ts'
import { createInFlight } from '../platform/in-flight.ts'
import { createTimedCache } from '../platform/timed-cache.ts'
import type { FederationClient } from './client.ts'

type Profile = ReadonlyMap<string, unknown>

const TIMEOUT_MS = 10_000
const MAX_BYTES = 128 * 1024
/** How long a profile is shown again without asking (ms), and how many are kept. */
const REMEMBERED_MS = 60_000
const REMEMBERED = 1_000

/**
 * Profiles of other servers' users. Server-server API, `GET /query/profile`.
 * @returns a function that gives `undefined` for a user without one, and throws 502 `M_UNKNOWN` if the server cannot be asked
 */
export function createRemoteProfiles(
  clock: Clock,
  request: FederationClient['request'],
): (userId: UserId) => Promise<Profile | undefined> {
  // As old as its time allows, in each process.
  const known = createTimedCache<Profile>(clock, REMEMBERED)
  const asking = createInFlight<Profile | undefined>()

  async function ask(userId: UserId): Promise<Profile | undefined> {
    const path = `/_matrix/federation/v1/query/profile?user_id=${encodeURIComponent(userId)}`
    const options = { method: 'GET', path, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES } as const
    const answer = await request(serverNameOf(userId), options)
    if (answer.kind === 'answer' && (answer.status === 404 || answer.status === 403)) return undefined
    if (answer.kind !== 'answer' || answer.status !== 200 || !isObject(answer.body)) throw unreachable()
    const profile = new Map(entriesOf(answer.body).filter(([, value]) => value !== null))
    known.set(userId, profile, REMEMBERED_MS)
    return profile
  }

  return async (userId) => known.get(userId) ?? asking.share(userId, () => ask(userId))
}

const unreachable = () => new MatrixError(502, 'M_UNKNOWN', 'The profile could not be fetched from the remote server')
