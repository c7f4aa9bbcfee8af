import { Agent, request } from 'undici'

/** One logged-in user of any homeserver, over as many connections as it needs. */
export type BenchClient = {
  userId: string
  accessToken: string
  ask(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<Record<string, never>>
  close(): Promise<void>
}

/** Registers a user with nothing but `m.login.dummy`. @param baseUrl of any homeserver that allows it */
export async function register(baseUrl: string, username: string): Promise<BenchClient> {
  const agent = new Agent({ connections: 64, pipelining: 1, headersTimeout: 120_000, bodyTimeout: 120_000 })
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
  const session = await ask('POST', '/register', { username, password: 'bench password', auth })
  const { user_id: userId, access_token: token } = session as unknown as { user_id: string; access_token: string }
  accessToken = token
  return { userId, accessToken: token, ask, close: () => agent.close() }
}
