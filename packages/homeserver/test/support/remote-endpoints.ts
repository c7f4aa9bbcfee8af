import type { Pdu } from '../../src/matrix/events.ts'
import type { Edu } from '../../src/matrix/federation.ts'
import { entriesOf, isObject } from '../../src/matrix/json.ts'
import type { HttpResponse } from '../../src/platform/network.ts'
import type { RemoteRoom } from './remote-room.ts'
import { remoteRoomEndpoints } from './remote-room-endpoints.ts'
import type { Endpoint } from './remote-script.ts'
import type { RemoteUser } from './remote-user.ts'
import { errorResponse, jsonResponse } from './responses.ts'

/** What arrived in a transaction. */
export type ReceivedEdu = Edu & { origin: string; txnId: string }

export type ReceivedPdu = { pdu: Pdu; origin: string; txnId: string }

/** A request: who signed it, what stands in the path, and its parsed body. */
export type Question = { origin: string; parameter: string; body: unknown }

/** One thing that the remote can be asked. */
export type RemoteEndpoint = {
  name: Endpoint
  method: string
  path: RegExp
  /** Whether it has to be signed. */
  signed: boolean
  /** User IDs that the request is about. */
  about(question: Question): string[]
  answer(question: Question): HttpResponse
  /** In words what is wrong with the request. */
  problem?(question: Question): string | undefined
  /** What takes effect once it was answered with 200. */
  done?(question: Question): void
}

export type RemoteEndpoints = {
  find(request: { method: string; path: string }): { endpoint: RemoteEndpoint; parameter: string } | undefined
  /** How often each user's list was asked for. */
  gets: Map<string, number>
  received: ReceivedEdu[]
  receivedPdus: ReceivedPdu[]
}

const V1 = '/_matrix/federation/v1'
const nobody = () => []

/** What a server without faults answers. @param publishedKeys its signed keys as of now */
export function createRemoteEndpoints(parts: {
  users: ReadonlyMap<string, RemoteUser>
  rooms: ReadonlyMap<string, RemoteRoom>
  publishedKeys: () => object
}): RemoteEndpoints {
  const { users, rooms, publishedKeys } = parts
  const gets = new Map<string, number>()
  const received: ReceivedEdu[] = []
  const receivedPdus: ReceivedPdu[] = []
  const transactions = new Set<string>()
  const perUser = <T>(asked: unknown, answer: (user: RemoteUser, wanted: unknown) => T | undefined) =>
    Object.fromEntries(
      entriesOf(asked).flatMap(([userId, wanted]) => {
        const user = users.get(userId)
        const found = user && answer(user, wanted)
        return found === undefined ? [] : [[userId, found] as const]
      }),
    )

  const endpoints: RemoteEndpoint[] = [
    {
      name: 'serverKeys',
      method: 'GET',
      path: /^\/_matrix\/key\/v2\/server\/?$/,
      signed: false,
      about: nobody,
      answer: () => jsonResponse(200, publishedKeys()),
    },
    {
      name: 'version',
      method: 'GET',
      path: new RegExp(`^${V1}/version$`),
      signed: false,
      about: nobody,
      answer: () => jsonResponse(200, { server: { name: 'Scripted', version: '1' } }),
    },
    {
      name: 'devices',
      method: 'GET',
      path: new RegExp(`^${V1}/user/devices/([^/?]+)$`),
      signed: true,
      about: ({ parameter }) => [parameter],
      answer({ parameter }) {
        gets.set(parameter, (gets.get(parameter) ?? 0) + 1)
        const user = users.get(parameter)
        return user ? jsonResponse(200, user.list()) : errorResponse(404, 'M_NOT_FOUND')
      },
    },
    {
      name: 'query',
      method: 'POST',
      path: new RegExp(`^${V1}/user/keys/query$`),
      signed: true,
      about: ({ body }) => usersIn(body, 'device_keys'),
      answer({ body }) {
        const asked = isObject(body) ? body.device_keys : {}
        return jsonResponse(200, {
          device_keys: perUser(asked, (user, deviceIds) => user.keysOf(deviceIds)),
          master_keys: perUser(asked, (user) => user.identity?.masterKey),
          self_signing_keys: perUser(asked, (user) => user.identity?.selfSigningKey),
        })
      },
    },
    {
      name: 'claim',
      method: 'POST',
      path: new RegExp(`^${V1}/user/keys/claim$`),
      signed: true,
      about: ({ body }) => usersIn(body, 'one_time_keys'),
      answer({ body }) {
        const asked = isObject(body) ? body.one_time_keys : {}
        return jsonResponse(200, { one_time_keys: perUser(asked, (user, devices) => user.claim(devices)) })
      },
    },
    {
      name: 'send',
      method: 'PUT',
      path: new RegExp(`^${V1}/send/([^/?]+)$`),
      signed: true,
      about: nobody,
      answer: () => jsonResponse(200, { pdus: {} }),
      problem: ({ origin, body }) => problemOfTransaction(origin, body),
      done({ origin, parameter: txnId, body }) {
        if (transactions.has(`${origin} ${txnId}`)) return
        transactions.add(`${origin} ${txnId}`)
        const { pdus, edus = [] } = body as { pdus: Pdu[]; edus?: Edu[] }
        received.push(...edus.map((edu) => ({ ...edu, origin, txnId })))
        receivedPdus.push(...pdus.map((pdu) => ({ pdu, origin, txnId })))
      },
    },
    {
      name: 'policySign',
      method: 'POST',
      path: /^\/_matrix\/policy\/v1\/sign$/,
      signed: true,
      about: nobody,
      answer: () => errorResponse(400, 'M_FORBIDDEN'),
    },
    ...remoteRoomEndpoints(rooms),
  ]

  return {
    find({ method, path }) {
      for (const endpoint of endpoints) {
        const match = endpoint.method === method ? endpoint.path.exec(path) : null
        if (match) return { endpoint, parameter: decodeURIComponent(match[1] ?? '') }
      }
      return undefined
    },
    gets,
    received,
    receivedPdus,
  }
}

function usersIn(body: unknown, member: string): string[] {
  return isObject(body) ? entriesOf(body[member]).map(([userId]) => userId) : []
}

/** Server-server API, "Transactions". */
function problemOfTransaction(origin: string, body: unknown): string | undefined {
  if (!isObject(body)) return 'the transaction is no object'
  const { pdus, edus = [] } = body
  if (body.origin !== origin) return `the transaction's origin is ${body.origin}`
  if (!Number.isSafeInteger(body.origin_server_ts)) return 'origin_server_ts is no integer'
  if (!Array.isArray(pdus) || pdus.length > 50) return 'pdus is no list of at most 50'
  if (!Array.isArray(edus) || edus.length > 100) return 'edus is no list of at most 100'
  const bad = edus.find((edu) => !isObject(edu) || typeof edu.edu_type !== 'string' || !isObject(edu.content))
  return bad === undefined ? undefined : `not an EDU: ${JSON.stringify(bad)}`
}
