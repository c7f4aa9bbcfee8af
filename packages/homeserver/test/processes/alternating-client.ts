import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely.
type Answer = { status: number; body: any }

/** A client that goes through one process after the other, as behind a balancer without sticky routing. */
export type AlternatingClient = {
  userId: string
  deviceId: string
  /** The same session, by these processes only. */
  by(...urls: string[]): AlternatingClient
  ask(method: string, path: string, body?: object): Promise<Answer>
  /** @throws unless the answer is 200 */
  get(path: string): Promise<Answer['body']>
  put(path: string, body: object): Promise<Answer['body']>
  post(path: string, body: object): Promise<Answer['body']>
  /** Sends a text. @returns the event's ID */
  say(roomId: string, text: string): Promise<string>
  /** The next sync from where this client's last one ended. @param timeout ms to wait for news */
  sync(timeout?: number): Promise<Answer['body']>
}

const V3 = '/_matrix/client/v3'
/** Timelines without gaps. */
const FILTER = JSON.stringify({ room: { timeline: { limit: 1_000 } }, presence: { types: [] } })
const DEADLINE_MS = 50_000

/** Registers an account. */
export async function register(username: string, ...urls: string[]): Promise<AlternatingClient> {
  const body = { username, password: 'a password for tests', auth: { type: 'm.login.dummy' } }
  const session = await ask(urls[0]!, 'POST', `${V3}/register`, body)
  assert.equal(session.status, 200, JSON.stringify(session.body))
  return client(session.body, urls)
}

type Session = { user_id: string; device_id: string; access_token: string }

function client(session: Session, urls: readonly string[]): AlternatingClient {
  let turn = 0
  let since: string | undefined
  const request = (method: string, path: string, body?: object) =>
    ask(urls[turn++ % urls.length]!, method, path.startsWith('/_') ? path : V3 + path, body, session.access_token)
  async function ok(method: string, path: string, body?: object) {
    const answer = await request(method, path, body)
    assert.equal(answer.status, 200, `${method} ${path}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  return {
    userId: session.user_id,
    deviceId: session.device_id,
    by: (...others) => client(session, others),
    ask: request,
    get: (path) => ok('GET', path),
    put: (path, body) => ok('PUT', path, body),
    post: (path, body) => ok('POST', path, body),
    async say(roomId, text) {
      const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${randomUUID()}`
      return (await ok('PUT', path, { msgtype: 'm.text', body: text })).event_id
    },
    async sync(timeout = 0) {
      const query = new URLSearchParams({ timeout: `${timeout}`, filter: FILTER, ...(since && { since }) })
      const body = await ok('GET', `/sync?${query}`)
      since = body.next_batch
      return body
    },
  }
}

async function ask(url: string, method: string, path: string, body?: object, token?: string): Promise<Answer> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const response = await fetch(url + path, { method, headers, signal, ...(body && { body: JSON.stringify(body) }) })
  return { status: response.status, body: await response.json() }
}

/**
 * Syncs until `collect` has got all it wants.
 * @param collect takes one response. @returns whether that is all
 * @throws with `said` if it takes too long
 */
export async function syncUntil(
  reader: AlternatingClient,
  said: string,
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely.
  collect: (response: any) => boolean,
  deadlineMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!collect(await reader.sync(2_000))) {
    assert.ok(performance.now() < deadline, `it took longer than ${deadlineMs} ms: ${said}`)
  }
}
