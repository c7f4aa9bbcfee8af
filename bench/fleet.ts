import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import selfsigned from 'selfsigned'
import { Agent, request } from 'undici'
import type { RoomId, ServerName, UserId } from '../packages/homeserver/src/matrix/ids.ts'
import { canonicalRequest, type JsonObject } from '../packages/homeserver/src/matrix/json.ts'
import { type SigningKey, signingKeyFromSeed, signJson, signText } from '../packages/homeserver/src/matrix/signing.ts'
import { joinTemplate, roomOf, VERSION } from './room-remote.ts'

/** How a server of the fleet fails while it does: it is not there, says nothing, or says something of no use. */
export const FAULTS = ['refused', 'hung', 'limited', 'failing', 'garbage'] as const
export type Fault = (typeof FAULTS)[number]

/** A homeserver that is measured, as others reach it. */
export type Target = { serverName: string; baseUrl: string }

/** Many remote servers in this process, each with a TLS listener on loopback and signing keys of its own, and one room that all their users are in. */
export type Fleet = {
  /** PEM of the certificate that all of them have. */
  certificate: string
  roomId: RoomId
  servers: readonly ServerName[]
  users: readonly UserId[]
  usersOf(serverName: ServerName): readonly UserId[]
  /** Changes a user's devices. @param lost updates that are never told, before the one returned @returns the EDU that tells of it */
  change(userId: UserId, lost?: number): object
  /** The key that the user's device has now. */
  keyNow(userId: UserId): string
  /** Whether the homeserver has fetched the user's list since it last changed. */
  wasFetched(userId: UserId): boolean
  /** Until when the server has asked not to be asked (epoch ms). */
  waitUntil(serverName: ServerName): number
  /** Requests that came before the `Retry-After` of a 429 had passed. */
  tooEarly(): number
  /** Requests that the homeserver has made so far. */
  requests(): number
  setFault(serverName: ServerName, fault: Fault | undefined): Promise<void>
  /** Sends a transaction as one of the servers. */
  send(serverName: ServerName, target: Target, edus: readonly object[]): Promise<void>
  close(): Promise<void>
}

/** What `limited` asks for (ms). */
const RETRY_AFTER_MS = 5_000
export const DEVICE = 'D1'

type Member = { version: number; fetched: number }
type Played = { key: SigningKey; users: UserId[]; server: Server; port: number; fault?: Fault; waitUntil: number }

/** @param count of servers @param usersEach of each */
export async function startFleet(count: number, usersEach: number): Promise<Fleet> {
  const extensions = [{ name: 'subjectAltName' as const, altNames: [{ type: 2 as const, value: 'localhost' }] }]
  const pem = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], { extensions })
  const agent = new Agent({ connections: 16, pipelining: 1 })
  const played = new Map<ServerName, Played>()
  const counts = { requests: 0, tooEarly: 0, transactions: 0 }
  for (let n = 0; n < count; n++) {
    const server = createServer({ key: pem.private, cert: pem.cert }).listen(0, '127.0.0.1')
    server.keepAliveTimeout = 60_000
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const name = `localhost:${port}` as ServerName
    const users = Array.from({ length: usersEach }, (_, user) => `@u${user}:${name}` as UserId)
    played.set(name, { key: signingKeyFromSeed('ed25519:1', Buffer.alloc(32, n)), users, server, port, waitUntil: 0 })
    server.on('request', (incoming, response) => void receive(name, incoming, response))
  }
  const servers = [...played.keys()]
  const users = servers.flatMap((name) => played.get(name)!.users)
  const members = new Map<UserId, Member>(users.map((userId) => [userId, { version: 1, fetched: 0 }]))
  const roomId = `!fleet:${servers[0]}` as RoomId
  const state = roomOf((name) => played.get(name)!.key, roomId, users)
  const pdus = state.map((event) => event.pdu)
  const joinParts = `"state":${JSON.stringify(pdus)},"auth_chain":${JSON.stringify(pdus.slice(0, 5))}`

  async function receive(name: ServerName, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    counts.requests++
    const server = played.get(name)!
    if (server.waitUntil > Date.now()) counts.tooEarly++
    const body = Buffer.concat(await incoming.toArray()).toString()
    if (server.fault === 'hung') return
    if (server.fault === 'limited') server.waitUntil = Date.now() + RETRY_AFTER_MS
    const [status, text] = server.fault ? faultOf(server.fault) : answer(name, server, incoming.url!, body)
    const headers = status === 429 ? { 'Retry-After': RETRY_AFTER_MS / 1_000 } : {}
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(text)
  }

  function answer(name: ServerName, { key }: Played, path: string, body: string): [number, string] {
    const [endpoint = '', ...rest] = path.split('?')[0]!.split('/').slice(4).map(decodeURIComponent)
    if (path.startsWith('/_matrix/key/v2/server')) {
      const published = { server_name: name, valid_until_ts: Date.now() + 86_400_000, old_verify_keys: {} }
      const verify_keys = { [key.keyId]: { key: key.publicKey } }
      return [200, JSON.stringify(signJson({ ...published, verify_keys }, name, key))]
    }
    if (endpoint === 'make_join') {
      const event = joinTemplate(roomId, rest[1]!, state)
      return [200, JSON.stringify({ room_version: VERSION.id, event })]
    }
    if (endpoint === 'send_join')
      return [200, `{"origin":"${name}","event":${body},"members_omitted":false,${joinParts}}`]
    if (endpoint === 'send') return [200, '{"pdus":{}}']
    const known = path.includes('/user/devices/') ? members.get(rest[1] as UserId) : undefined
    if (known) {
      known.fetched = known.version
      const devices = [{ device_id: DEVICE, keys: deviceKeys(rest[1]!, known.version) }]
      return [200, JSON.stringify({ user_id: rest[1], stream_id: known.version, devices })]
    }
    if (path.endsWith('/user/keys/query')) {
      const asked = Object.keys((JSON.parse(body) as { device_keys: object }).device_keys)
      const all = asked.map((id) => [id, { [DEVICE]: deviceKeys(id, members.get(id as UserId)!.version) }])
      return [200, JSON.stringify({ device_keys: Object.fromEntries(all) })]
    }
    return [404, '{"errcode":"M_NOT_FOUND","error":"The fleet of a benchmark has little to say"}']
  }

  return {
    certificate: pem.cert,
    roomId,
    servers,
    users,
    usersOf: (name) => played.get(name)!.users,
    change(userId, lost = 0) {
      const member = members.get(userId)!
      const before = member.version + lost
      member.version = before + 1
      const content = { user_id: userId, device_id: DEVICE, stream_id: member.version, prev_id: [before] }
      const keys = deviceKeys(userId, member.version)
      return { edu_type: 'm.device_list_update', content: { ...content, keys } }
    },
    keyNow: (userId) => publicKey(members.get(userId)!.version),
    wasFetched: (userId) => members.get(userId)!.fetched === members.get(userId)!.version,
    waitUntil: (name) => played.get(name)!.waitUntil,
    tooEarly: () => counts.tooEarly,
    requests: () => counts.requests,
    async setFault(name, fault) {
      const server = played.get(name)!
      const wasRefused = server.fault === 'refused'
      if (fault) server.fault = fault
      else delete server.fault
      if (fault === 'refused') {
        server.server.close()
        server.server.closeAllConnections()
      }
      if (wasRefused) {
        server.server.listen(server.port, '127.0.0.1')
        await once(server.server, 'listening')
      }
    },
    async send(origin, { serverName, baseUrl }, edus) {
      const uri = `/_matrix/federation/v1/send/t${counts.transactions++}`
      const content = { origin, origin_server_ts: Date.now(), pdus: [], edus } as unknown as JsonObject
      const { key } = played.get(origin)!
      const signed = canonicalRequest({ method: 'PUT', uri, origin, destination: serverName, content })!
      const header = `X-Matrix origin="${origin}",destination="${serverName}",key="${key.keyId}",sig="${signText(signed, key)}"`
      const { statusCode, body } = await request(baseUrl + uri, {
        method: 'PUT',
        dispatcher: agent,
        headers: { 'content-type': 'application/json', authorization: header },
        body: JSON.stringify(content),
      })
      const text = await body.text()
      if (statusCode !== 200) throw new Error(`a transaction was answered ${statusCode}: ${text.slice(0, 200)}`)
    },
    async close() {
      await agent.destroy()
      for (const { server } of played.values()) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

function faultOf(fault: Fault): [number, string] {
  if (fault === 'limited') return [429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":${RETRY_AFTER_MS}}`]
  if (fault === 'failing') return [500, '{"errcode":"M_UNKNOWN","error":"It fails"}']
  return [200, '<html>It works!</html>']
}

function publicKey(version: number): string {
  const key = Buffer.alloc(32)
  key.writeUInt32BE(version)
  return key.toString('base64').replace('=', '')
}

function deviceKeys(userId: string, version: number): object {
  const key = publicKey(version)
  const algorithms = ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2']
  const signatures = { [userId]: { [`ed25519:${DEVICE}`]: 'A'.repeat(86) } }
  const keys = { [`curve25519:${DEVICE}`]: key, [`ed25519:${DEVICE}`]: key }
  return { user_id: userId, device_id: DEVICE, algorithms, keys, signatures }
}
