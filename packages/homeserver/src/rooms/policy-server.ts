import type { KeyObject } from 'node:crypto'
import { type Pdu, type RoomEvent, type StateMap, stateEntry } from '../matrix/events.ts'
import { isServerName, type ServerName } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { signatureOf, verifyKeyFrom } from '../matrix/signing.ts'
import { verifyPdu } from '../state/signatures.ts'
import { membersOf } from '../storage/memberships.ts'
import { currentStateEventId } from '../storage/room-state.ts'
import type { Source } from './ask-servers.ts'
import type { RoomParts } from './ports.ts'

type Parts = Pick<RoomParts, 'remote' | 'events' | 'store'>
type Room = Pick<Source, 'roomId' | 'version'>
type PolicyServer = { via: ServerName; key: KeyObject }

const KEY_ID = 'ed25519:policy_server'
const TIMEOUT_MS = 10_000

/** Why a policy server does not recommend an event: its own words, at most so many; no status where it did not answer. */
export type PolicyRefusal = { status?: number; errcode?: string; error?: string }

/** Without `refusal`, the event is recommended, or needs no recommendation; it has the signature that was given. */
export type PolicyAdvice = { event: RoomEvent; refusal?: PolicyRefusal }

const MAX_ERROR_LENGTH = 200

/** Whether a policy server may have to be asked about an event in a room whose state now is this. */
export function mayNeedAdvice(current: StateMap, event: RoomEvent): boolean {
  return current.has(POLICY_ENTRY) && !isPolicy(event)
}

const POLICY_ENTRY = stateEntry('m.room.policy', '')
const isPolicy = (event: RoomEvent) => event.type === 'm.room.policy' && event.stateKey === ''

/**
 * What the room's policy server says of an event, which is asked if the event does not tell itself; where a room uses none,
 * everything is recommended. Server-server API, "Policy Servers".
 */
export async function askPolicyServer(parts: Parts, room: Room, event: RoomEvent): Promise<PolicyAdvice> {
  if (isPolicy(event)) return { event }
  const server = await policyServerOf(parts, room)
  if (!server || isSigned(event.pdu, room, server)) return { event }
  const answer = await parts.remote.request(server.via, {
    method: 'POST',
    path: '/_matrix/policy/v1/sign',
    body: event.pdu,
    timeoutMs: TIMEOUT_MS,
  })
  if (answer.kind !== 'answer') return { event, refusal: {} }
  const { status, body } = answer
  if (status !== 200) return { event, refusal: refusalOf(status, body) }
  const signature = isObject(body) ? signatureOf({ signatures: body }, server.via, KEY_ID) : undefined
  if (signature === undefined) return { event, refusal: {} }
  const own = event.pdu.signatures
  const ofServer = Object.hasOwn(own, server.via) ? own[server.via] : {}
  const pdu: Pdu = { ...event.pdu, signatures: { ...own, [server.via]: { ...ofServer, [KEY_ID]: signature } } }
  return isSigned(pdu, room, server) ? { event: { ...event, pdu } } : { event, refusal: {} }
}

/** What a client may be told. A 401 would log it out, and trouble of the other server is none of ours. */
function refusalOf(status: number, body: unknown): PolicyRefusal {
  if (status < 400 || status > 499 || status === 401 || !isObject(body)) return {}
  const { errcode, error } = body
  return {
    status,
    ...(typeof errcode === 'string' && errcode !== 'M_UNKNOWN_TOKEN' && { errcode: errcode.slice(0, 100) }),
    ...(typeof error === 'string' && { error: error.slice(0, MAX_ERROR_LENGTH) }),
  }
}

const isSigned = (pdu: Pdu, { version }: Room, { via, key }: PolicyServer) => verifyPdu(pdu, version, via, KEY_ID, key)

/** The policy server that a room uses now, if it uses one. */
async function policyServerOf({ store, events }: Parts, { roomId, version }: Room): Promise<PolicyServer | undefined> {
  const eventId = await currentStateEventId(store.db, roomId, 'm.room.policy', '')
  if (eventId === undefined) return undefined
  const content = (await events.load(store.db, version, [eventId])).get(eventId)?.event.content
  const { via, public_keys: keys } = content ?? {}
  if (!isServerName(via) || !isObject(keys) || typeof keys.ed25519 !== 'string') return undefined
  const key = verifyKeyFrom(keys.ed25519)
  const members = key ? await membersOf(store.db, roomId, { membership: 'join', serverName: via }) : []
  return members.length > 0 ? { via, key: key! } : undefined
}
