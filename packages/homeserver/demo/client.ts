import { generateKeyPairSync, sign } from 'node:crypto'

/** What a step needs of a Matrix client: one account on one device, over real HTTP. */
export type Client = {
  userId: string
  deviceId: string
  /** One request; returns the status and the parsed body whatever the status. */
  request(method: string, path: string, body?: object): Promise<{ status: number; body: Body }>
  /** Waits for news since the last call, at most `timeoutMs` milliseconds. */
  sync(timeoutMs: number): Promise<Body>
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely here, and each step checks what it finds.
export type Body = any

const V3 = '/_matrix/client/v3'

/**
 * Registers an account, or logs in to it if it exists, as a new device with keys of its own.
 * @param baseUrl of the homeserver
 */
export async function newDevice(baseUrl: string, name: string, password: string, deviceName: string): Promise<Client> {
  const call = requester(baseUrl, undefined)
  const registration = {
    username: name,
    password,
    initial_device_display_name: deviceName,
    auth: { type: 'm.login.dummy' },
  }
  let session = await call('POST', `${V3}/register`, registration)
  if (session.body.errcode === 'M_USER_IN_USE') {
    const identifier = { type: 'm.id.user', user: name }
    const login = { type: 'm.login.password', identifier, password, initial_device_display_name: deviceName }
    session = await call('POST', `${V3}/login`, login)
  }
  if (session.status !== 200) throw new Error(`no session for ${name}: ${JSON.stringify(session.body)}`)
  const { user_id: userId, device_id: deviceId, access_token: token } = session.body
  const request = requester(baseUrl, token)
  const uploaded = await request('POST', `${V3}/keys/upload`, { device_keys: deviceKeys(userId, deviceId) })
  if (uploaded.status !== 200) throw new Error(`no keys for ${name}: ${JSON.stringify(uploaded.body)}`)
  let since: string | undefined
  return {
    userId,
    deviceId,
    request,
    async sync(timeoutMs) {
      const query = since === undefined ? '' : `&since=${since}`
      const { body } = await request('GET', `${V3}/sync?timeout=${timeoutMs}${query}`)
      since = body.next_batch
      return body
    },
  }
}

function requester(baseUrl: string, token: string | undefined): Client['request'] {
  return async (method, path, body) => {
    const response = await fetch(baseUrl + path, {
      method,
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: response.status, body: await response.json() }
  }
}

/** Device keys as a client makes them: an Ed25519 key that signs itself and a Curve25519 key. */
function deviceKeys(userId: string, deviceId: string): object {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const identityKey = generateKeyPairSync('x25519').publicKey
  const keys = {
    algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    device_id: deviceId,
    keys: {
      [`curve25519:${deviceId}`]: base64(identityKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
      [`ed25519:${deviceId}`]: base64(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
    },
    user_id: userId,
  }
  // The members above are in alphabetical order already, which makes this canonical JSON.
  const signature = sign(null, Buffer.from(JSON.stringify(keys)), privateKey)
  return { ...keys, signatures: { [userId]: { [`ed25519:${deviceId}`]: base64(signature) } } }
}

const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
