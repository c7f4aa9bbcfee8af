import type { Edu } from '../../src/matrix/federation.ts'
import { tryParseJson } from '../../src/matrix/json.ts'
import { type SigningKey, signingKeyFromSeed, signJson } from '../../src/matrix/signing.ts'
import { type Clock, sleep } from '../../src/platform/clock.ts'
import { type HttpResponse, type Network, NetworkError } from '../../src/platform/network.ts'
import type { Random } from '../../src/platform/random.ts'
import {
  createRemoteEndpoints,
  type Question,
  type ReceivedEdu,
  type ReceivedPdu,
  type RemoteEndpoints,
} from './remote-endpoints.ts'
import { createRemoteRoom, type RemoteRoom } from './remote-room.ts'
import { createScript, type Script, type ScriptedResponse } from './remote-script.ts'
import { createRemoteUser, type RemoteUser } from './remote-user.ts'
import { errorResponse } from './responses.ts'
import { createSeededRandom } from './seeded-random.ts'
import { authorizationOf, createSignatureCheck, type ReceivedRequest, sendTo } from './signed-requests.ts'

/**
 * A Matrix server that is played: true users with true keys, real signatures, and a script for everything that can go
 * wrong. What Evergreen sends to it is checked; a bad signature or transaction fails the test that runs.
 */
export type ScriptedRemote = Omit<Script, 'answer'> & {
  serverName: string
  /** For the memory network: `network.host(remote.serverName, remote.handle)`. */
  handle(request: ReceivedRequest): Promise<HttpResponse>
  /** The same for a listener that can drip. */
  respond(request: ReceivedRequest): Promise<ScriptedResponse>
  addUser(localpart: string): RemoteUser
  /** How often the list of a user was asked for by `GET /user/devices/{userId}`, whatever was answered. */
  gets(user: RemoteUser): number
  /** EDUs that arrived in good transactions, oldest first, each transaction once. */
  received: readonly ReceivedEdu[]
  /** Those of the EDUs that are about devices and their keys. */
  readonly deviceEdus: readonly ReceivedEdu[]
  /** The same for PDUs. */
  receivedPdus: readonly ReceivedPdu[]
  /** What it has of rooms. */
  rooms: ReadonlyMap<string, RemoteRoom>
  /** Lets it know of a room: all events so far, each behind those that it follows. */
  knowRoom(roomId: string, versionId: string, events: readonly object[]): RemoteRoom
  /** `PUT /send/{txnId}` with these events. */
  sendPdus(destination: string, pdus: readonly object[], txnId?: string): Promise<RemoteAnswer>
  /** A signed request to another server. */
  request(destination: string, request: RemoteRequest): Promise<RemoteAnswer>
  /** `PUT /send/{txnId}` with these EDUs. The same transaction ID twice is a transaction that is sent again. */
  sendEdus(destination: string, edus: readonly Edu[], txnId?: string): Promise<RemoteAnswer>
  /** An `m.device_list_update` made by hand; `keys` are those that the device has, if any. */
  sendDeviceListUpdate(destination: string, update: DeviceListUpdate): Promise<RemoteAnswer>
  /** The `m.signing_key_update` of the cross-signing keys that the user has. */
  sendSigningKeyUpdate(destination: string, user: RemoteUser): Promise<RemoteAnswer>
  /** As if the server was set up anew: another signing key, and every user's stream begins again. */
  rebuild(): void
}

const ABOUT_DEVICES: ReadonlySet<string> = new Set(['m.device_list_update', 'm.signing_key_update'])

export type DeviceListUpdate = {
  user: RemoteUser
  device: string
  streamId: number
  prevIds?: readonly number[]
  deleted?: boolean
}

/** `authorization` takes the place of the true signature. */
export type RemoteRequest = { method: 'GET' | 'PUT' | 'POST'; path: string; body?: object; authorization?: string }
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely.
export type RemoteAnswer = { status: number; body: any; headers: Record<string, string> }

export type RemoteOptions = {
  serverName: string
  clock: Clock
  /** The network as this server sees it. */
  network: Network
  random?: Random
  /** Called with what is wrong with a request; the default fails the test. */
  onProblem?: (problem: string) => void
}

export function createScriptedRemote(options: RemoteOptions): ScriptedRemote {
  const { serverName, clock, network, random = createSeededRandom(serverName), onProblem = failTheTest } = options
  const users = new Map<string, RemoteUser>()
  const rooms = new Map<string, RemoteRoom>()
  const signatures = createSignatureCheck(serverName, network, clock)
  const { answer: scripted, ...script } = createScript()
  const endpoints: RemoteEndpoints = createRemoteEndpoints({ users, rooms, publishedKeys })
  let signingKey = newSigningKey()
  let transactions = 0

  function newSigningKey(): SigningKey {
    return signingKeyFromSeed(`ed25519:${random.bytes(3).toString('hex')}`, random.bytes(32))
  }

  function publishedKeys(): object {
    const { keyId, publicKey } = signingKey
    const keys = {
      server_name: serverName,
      valid_until_ts: clock.now() + 24 * 3_600_000,
      verify_keys: { [keyId]: { key: publicKey } },
      old_verify_keys: {},
    }
    return signJson(keys, serverName, signingKey)
  }

  async function signerOf(request: ReceivedRequest): Promise<string | undefined> {
    const checked = await signatures.check(request).catch((error: unknown) => {
      if (error instanceof NetworkError) return { origin: undefined }
      throw error
    })
    if ('origin' in checked) return checked.origin
    onProblem(`${serverName} got ${request.method} ${request.path}: ${checked.problem}`)
    return undefined
  }

  async function respond(request: ReceivedRequest): Promise<ScriptedResponse> {
    const found = endpoints.find(request)
    if (!found) return errorResponse(404, 'M_UNRECOGNIZED')
    const { endpoint } = found
    let origin = ''
    if (endpoint.signed) {
      const signer = await signerOf(request)
      if (signer === undefined) return errorResponse(401, 'M_UNAUTHORIZED')
      origin = signer
    }
    const question: Question = { origin, parameter: found.parameter, body: tryParseJson(request.body ?? '') }
    const problem = endpoint.problem?.(question)
    if (problem) onProblem(`${serverName} got ${request.method} ${request.path}: ${problem}`)
    const answer = await scripted(endpoint.name, endpoint.about(question), endpoint.answer(question), question.body)
    if (answer.status === 200) endpoint.done?.(question)
    return answer
  }

  async function request(destination: string, wanted: RemoteRequest): Promise<RemoteAnswer> {
    const authorization = wanted.authorization ?? authorizationOf(serverName, signingKey, destination, wanted)
    const headers = { authorization, ...(wanted.body ? { 'content-type': 'application/json' } : {}) }
    const response = await sendTo(network, destination, wanted, headers)
    return { status: response.status, body: tryParseJson(response.body.toString('utf8')), headers: response.headers }
  }

  function send(destination: string, sent: { pdus?: readonly object[]; edus?: readonly Edu[] }, txnId?: string) {
    const { pdus = [], edus = [] } = sent
    const body = { origin: serverName, origin_server_ts: clock.now(), pdus, edus }
    return request(destination, {
      method: 'PUT',
      path: `/_matrix/federation/v1/send/${txnId ?? `t${transactions++}`}`,
      body,
    })
  }

  const sendEdus = (destination: string, edus: readonly Edu[], txnId?: string) => send(destination, { edus }, txnId)

  return {
    ...script,
    serverName,
    respond,
    async handle(received) {
      const { dripMs = 0, ...response } = await respond(received)
      if (dripMs > 0) await sleep(clock, dripMs * response.body.length)
      return response
    },
    addUser(localpart) {
      const user = createRemoteUser(random, `@${localpart}:${serverName}`)
      users.set(user.userId, user)
      return user
    },
    gets: ({ userId }) => endpoints.gets.get(userId) ?? 0,
    received: endpoints.received,
    get deviceEdus() {
      return endpoints.received.filter(({ edu_type: type }) => ABOUT_DEVICES.has(type))
    },
    receivedPdus: endpoints.receivedPdus,
    rooms,
    knowRoom(roomId, versionId, known) {
      const room = createRemoteRoom({ roomId, versionId, serverName, clock, key: () => signingKey, known })
      rooms.set(roomId, room)
      return room
    },
    sendPdus: (destination, pdus, txnId) => send(destination, { pdus }, txnId),
    request,
    sendEdus,
    sendDeviceListUpdate(destination, { user, device, streamId, prevIds, deleted }) {
      const { deviceKeys: keys } = user.devices.get(device) ?? {}
      const content = {
        user_id: user.userId,
        device_id: device,
        stream_id: streamId,
        ...(prevIds ? { prev_id: [...prevIds] } : {}),
        ...(deleted ? { deleted } : {}),
        ...(keys && !deleted ? { keys } : {}),
      }
      return sendEdus(destination, [{ edu_type: 'm.device_list_update', content }])
    },
    sendSigningKeyUpdate: (destination, user) => sendEdus(destination, [user.signingKeyUpdate()]),
    rebuild() {
      signingKey = newSigningKey()
      for (const user of users.values()) user.streamId = user.devices.size
    },
  }
}

/** An unhandled rejection fails the running test, wherever it comes from. */
function failTheTest(problem: string): void {
  void Promise.reject(new Error(problem))
}
