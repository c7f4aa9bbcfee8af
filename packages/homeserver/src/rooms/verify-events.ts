import type { RoomEvent } from '../matrix/events.ts'
import type { EventId, ServerName } from '../matrix/ids.ts'
import { entriesOf, isObject } from '../matrix/json.ts'
import { createBreathe } from '../platform/breathe.ts'
import { type Clock, sleep } from '../platform/clock.ts'
import { createSemaphore } from '../platform/semaphore.ts'
import { hasGoodContentHash } from '../state/hashes.ts'
import { readEvent } from '../state/read-event.ts'
import { redactEvent } from '../state/redaction.ts'
import type { RoomVersion } from '../state/room-versions.ts'
import { requiredSigners, verifyPdu } from '../state/signatures.ts'
import type { RemoteServers, RoomParts } from './ports.ts'

/** An event from outside that is what its sender's server made, or what is wrong with it, in words. */
export type VerifiedEvent = { event: RoomEvent } | { invalid: string; eventId?: EventId }

/** Servers whose keys are fetched at the same time: of many, most may be gone for good, and each of those takes its time. */
const PARALLEL = 100
/** How long keys are waited for in all (ms); events of those that have not come by then are not verified. */
const MOST_WAIT_MS = 60_000
/** Signatures of one server on one event that are looked at. */
const MAX_SIGNATURES = 5

/** Which key has to be good, and for the latest of the events that it is said to have signed. */
type WantedKey = { serverName: ServerName; keyId: string; originServerTs: number }

/**
 * The first three of the checks on events that come from other servers: shape, signatures, and content hash, where a wrong
 * one leaves the redacted event. Server-server API, "Checks performed on receipt of a PDU". Whatever `unsigned` holds is
 * dropped. Many at once are no burden: keys are fetched in parallel, in a bounded time, and the thread is shared.
 * @param pdus anything
 * @returns one result for each, in the same order
 */
export async function verifyEvents(
  { remote, clock }: Pick<RoomParts, 'remote' | 'clock'>,
  pdus: readonly unknown[],
  version: RoomVersion,
): Promise<VerifiedEvent[]> {
  const breathe = createBreathe()
  const read: VerifiedEvent[] = []
  for (const pdu of pdus) {
    read.push(readOne(pdu, version))
    await breathe()
  }
  const heard = await fetchKeys(remote, clock, read, version)
  const verified: VerifiedEvent[] = []
  for (const one of read) {
    verified.push('event' in one ? await verifyOne(remote, one.event, version, heard) : one)
    await breathe()
  }
  return verified
}

function readOne(pdu: unknown, version: RoomVersion): VerifiedEvent {
  const { unsigned: _, ...rest } = isObject(pdu) ? pdu : {}
  const event = readEvent(isObject(pdu) ? rest : pdu, version)
  return 'invalid' in event ? { invalid: event.invalid } : { event }
}

/**
 * Has all keys fetched that will be needed: later each is at hand, or known not to be had.
 * @returns the servers of which that is so: of others, keys are still being asked for
 */
async function fetchKeys(
  remote: RemoteServers,
  clock: Clock,
  read: readonly VerifiedEvent[],
  version: RoomVersion,
): Promise<ReadonlySet<ServerName>> {
  const byServer = new Map<ServerName, Map<string, WantedKey>>()
  for (const one of read) {
    if (!('event' in one)) continue
    for (const serverName of requiredSigners(one.event, version)) {
      const wanted = byServer.get(serverName) ?? new Map<string, WantedKey>()
      byServer.set(serverName, wanted)
      for (const keyId of keyIdsOf(one.event, serverName)) {
        const originServerTs = Math.max(one.event.originServerTs, wanted.get(keyId)?.originServerTs ?? 0)
        wanted.set(keyId, { serverName, keyId, originServerTs })
      }
    }
  }
  const permits = createSemaphore(PARALLEL)
  const heard = new Set<ServerName>()
  const waiting = new AbortController()
  const fetchAll = async (server: ServerName, keys: Iterable<WantedKey>) => {
    for (const { serverName, keyId, originServerTs } of keys) {
      if (waiting.signal.aborted) return
      await remote.keyForEvent(serverName, keyId, originServerTs, version.enforcesKeyValidity)
    }
    heard.add(server)
  }
  const all = Promise.all([...byServer].map(([server, keys]) => permits.run(() => fetchAll(server, keys.values()))))
  try {
    await Promise.race([all, sleep(clock, MOST_WAIT_MS, waiting.signal)])
  } finally {
    waiting.abort()
  }
  return new Set(heard)
}

function keyIdsOf({ pdu }: RoomEvent, serverName: ServerName): string[] {
  if (!Object.hasOwn(pdu.signatures, serverName)) return []
  return entriesOf(pdu.signatures[serverName])
    .map(([keyId]) => keyId)
    .slice(0, MAX_SIGNATURES)
}

async function verifyOne(
  remote: RemoteServers,
  event: RoomEvent,
  version: RoomVersion,
  heard: ReadonlySet<ServerName>,
): Promise<VerifiedEvent> {
  const { eventId } = event
  for (const serverName of requiredSigners(event, version)) {
    if (!heard.has(serverName) || !(await isSignedBy(remote, event, serverName, version))) {
      return { invalid: `there is no good signature by ${serverName}`, eventId }
    }
  }
  return { event: hasGoodContentHash(event.pdu) ? event : redactEvent(event, version) }
}

/** All signatures of a server whose keys are known have to be good, and there has to be one. */
async function isSignedBy(
  remote: RemoteServers,
  event: RoomEvent,
  serverName: ServerName,
  version: RoomVersion,
): Promise<boolean> {
  let found = false
  for (const keyId of keyIdsOf(event, serverName)) {
    const known = await remote.keyForEvent(serverName, keyId, event.originServerTs, version.enforcesKeyValidity)
    if (!known) continue
    if (!verifyPdu(event.pdu, version, serverName, keyId, known.key)) return false
    found = true
  }
  return found
}
