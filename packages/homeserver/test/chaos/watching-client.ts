import { NetworkError } from '../../src/platform/network.ts'
import type { TestClient } from '../support/test-client.ts'
import { type Content, contentOf } from './truth.ts'

/**
 * A client that keeps others' keys as real ones do: it asks for the keys of whoever is in `device_lists.changed`, and again for those
 * whose server is in `failures`; what it has it believes.
 */
export type WatchingClient = {
  userId: string
  /** It has come to share a room with them. Tests say so where rooms are not true. */
  met(userIds: readonly string[]): void
  /** The next sync, and a query for whoever is outdated by it, one at a time. */
  look(): Promise<void>
  /** What it believes; `undefined` while it knows that it does not know. */
  keysOf(userId: string): Content | undefined
  /** Whether a look has yet to end. */
  isBusy(): boolean
  /** Asks for a list to be fetched again (MSC2638). Where that is accepted, or a retry promised, it is owed word of it. */
  refresh(userId: string): Promise<void>
  /** Of whom it is owed word. */
  owed(): string[]
}

const QUERY_WAIT_MS = 5_000
const REFRESH = '/_matrix/client/unstable/org.matrix.msc2638/user'

/** @param isUp whether its server runs; what one answers that is being stopped counts for nothing */
export function createWatchingClient(client: TestClient, isUp: () => boolean): WatchingClient {
  const keys = new Map<string, Content>()
  /** Which mark of all made somebody outdated last. */
  const outdated = new Map<string, number>()
  /** How often a sync has told of somebody. */
  const told = new Map<string, number>()
  const owed = new Set<string>()
  let marks = 0
  let busy = false

  function mark(userIds: readonly string[]): void {
    for (const userId of userIds) outdated.set(userId, marks++)
  }

  async function sync(): Promise<void> {
    const { device_lists: lists = {} } = await client.sync()
    const changed: string[] = lists.changed ?? []
    mark(changed)
    for (const userId of changed) {
      told.set(userId, (told.get(userId) ?? 0) + 1)
      owed.delete(userId)
    }
  }

  async function query(): Promise<void> {
    const asked = new Map(outdated)
    if (asked.size === 0) return
    const body = { device_keys: Object.fromEntries([...asked.keys()].map((id) => [id, []])), timeout: QUERY_WAIT_MS }
    const answer = await client.request('POST', '/keys/query', body)
    if (answer.status === 500 && !isUp()) return
    if (answer.status !== 200)
      throw new Error(`/keys/query was answered ${answer.status} ${JSON.stringify(answer.body)}`)
    const { device_keys, master_keys = {}, self_signing_keys = {}, failures = {} } = answer.body
    for (const [userId, since] of asked) {
      keys.set(userId, seenContent(device_keys[userId], master_keys[userId], self_signing_keys[userId]))
      const failed = Object.hasOwn(failures, userId.slice(userId.indexOf(':') + 1))
      if (!failed && outdated.get(userId) === since) outdated.delete(userId)
    }
  }

  return {
    userId: client.userId,
    met: mark,
    async look() {
      if (busy) return
      busy = true
      try {
        await sync()
        await query()
      } catch (error) {
        // Its server was killed meanwhile.
        if (!(error instanceof NetworkError)) throw error
      } finally {
        busy = false
      }
    },
    isBusy: () => busy,
    owed: () => [...owed],
    async refresh(userId) {
      const before = told.get(userId)
      const { status, body } = await client.request('POST', `${REFRESH}/${encodeURIComponent(userId)}/devices/refresh`)
      const promised = status === 202 || body['org.matrix.msc2638.retry_scheduled'] === true
      if (promised && told.get(userId) === before) owed.add(userId)
    },
    keysOf: (userId) => (outdated.has(userId) ? undefined : keys.get(userId)),
  }
}

type Keys = Record<string, unknown>

/** What a `/keys/query` says of one user. */
export function seenContent(
  devices: Record<string, Keys> = {},
  master: Keys | null = null,
  own: Keys | null = null,
): Content {
  return contentOf({ deviceKeys: new Map(Object.entries(devices)), masterKey: master, selfSigningKey: own })
}
