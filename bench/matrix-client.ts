import { Agent, request } from 'undici'

/** One logged-in user of any homeserver. */
export type BenchClient = {
  userId: string
  accessToken: string
  /** A request below `/_matrix/client/v3`. @throws unless it is answered 200 */
  ask<T = unknown>(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<T>
}

/** Connections for any number of clients; whoever makes it destroys it. */
export function createBenchAgent(): Agent {
  return new Agent({ connections: 4_096, pipelining: 1, headersTimeout: 600_000, bodyTimeout: 600_000 })
}

/** Registers a user with nothing but `m.login.dummy`. @param baseUrl of any homeserver that allows it */
export async function register(baseUrl: string, username: string, agent: Agent): Promise<BenchClient> {
  let accessToken: string | undefined
  const ask: BenchClient['ask'] = async (method, path, body) => {
    const authorization = accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }
    const { statusCode, body: answer } = await request(`${baseUrl}/_matrix/client/v3${path}`, {
      method,
      dispatcher: agent,
      headers: { 'content-type': 'application/json', ...authorization },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (statusCode !== 200) throw new Error(`${method} ${path} was answered ${statusCode}: ${text.slice(0, 200)}`)
    return JSON.parse(text)
  }
  const auth = { type: 'm.login.dummy' }
  const wish = { username, password: 'bench password', auth }
  const session = await ask<{ user_id: string; access_token: string }>('POST', '/register', wish)
  accessToken = session.access_token
  return { userId: session.user_id, accessToken, ask }
}
