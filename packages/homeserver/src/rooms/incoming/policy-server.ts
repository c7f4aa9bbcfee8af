import type { KeyObject } from 'node:crypto'
import type { Pdu, RoomEvent } from '../../matrix/events.ts'
import { isServerName, type ServerName } from '../../matrix/ids.ts'
import { isObject } from '../../matrix/json.ts'
import { signatureOf, verifyKeyFrom } from '../../matrix/signing.ts'
import { verifyPdu } from '../../state/signatures.ts'
import { membersOf } from '../../storage/memberships.ts'
import { currentStateEventId } from '../../storage/room-state.ts'
import type { Source } from '../ask-servers.ts'
import type { RoomParts } from '../ports.ts'

type Parts = Pick<RoomParts, 'remote' | 'events' | 'store'>
type Room = Pick<Source, 'roomId' | 'version'>
type PolicyServer = { via: ServerName; key: KeyObject }

const KEY_ID = 'ed25519:policy_server'
const TIMEOUT_MS = 10_000

/**
 * Whether the room's policy server recommends an event, which it is asked for if the event does not say so itself; where a
 * room uses none, everything is recommended. Server-server API, "Policy Servers".
 * @returns the event with the signature that the policy server gave
 */
export async function askPolicyServer(
  parts: Parts,
  room: Room,
  event: RoomEvent,
): Promise<{ event: RoomEvent; recommended: boolean }> {
  if (event.type === 'm.room.policy' && event.stateKey === '') return { event, recommended: true }
  const server = await policyServerOf(parts, room)
  if (!server || isSigned(event.pdu, room, server)) return { event, recommended: true }
  const answer = await parts.remote.request(server.via, {
    method: 'POST',
    path: '/_matrix/policy/v1/sign',
    body: event.pdu,
    timeoutMs: TIMEOUT_MS,
  })
  if (answer.kind !== 'answer' || answer.status !== 200 || !isObject(answer.body)) return { event, recommended: false }
  const signature = signatureOf({ signatures: answer.body }, server.via, KEY_ID)
  if (signature === undefined) return { event, recommended: false }
  const own = event.pdu.signatures
  const ofServer = Object.hasOwn(own, server.via) ? own[server.via] : {}
  const pdu: Pdu = { ...event.pdu, signatures: { ...own, [server.via]: { ...ofServer, [KEY_ID]: signature } } }
  return isSigned(pdu, room, server) ? { event: { ...event, pdu }, recommended: true } : { event, recommended: false }
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
