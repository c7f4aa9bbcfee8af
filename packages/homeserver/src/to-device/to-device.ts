import { badJson } from '../matrix/errors.ts'
import type { Edu } from '../matrix/federation.ts'
import { isUserId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { canonicalJson, entriesOf, isObject } from '../matrix/json.ts'
import type { Clock } from '../platform/clock.ts'
import type { Logger } from '../platform/logger.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import { dropOldest } from '../storage/bounded-queues.ts'
import { heldDevices } from '../storage/devices.ts'
import type { Store, Tx } from '../storage/store.ts'
import * as storage from '../storage/to-device.ts'

/** Messages by user and device; `*` stands for all of a user's devices. */
export type Messages = ReadonlyMap<UserId, ReadonlyMap<string, unknown>>

type Sender = { userId: UserId; deviceId: string }

export type ToDevice = {
  /**
   * Sends messages to devices, ours and others'. The same transaction of the same device and type again does nothing.
   * Client-server API, "PUT /sendToDevice/{eventType}/{txnId}".
   * @throws `M_BAD_JSON` for what other servers would not take
   */
  send(sender: Sender, type: string, txnId: string, messages: Messages): Promise<void>
  /** `m.direct_to_device` EDUs of another server, in order; durable when it returns. */
  receive(origin: ServerName, contents: readonly unknown[]): Promise<void>
  /** The next messages of a device. @returns them, and the place up to which these are all */
  read(device: Sender, after: number, upTo: number): Promise<{ events: unknown[]; position: number }>
  /** A device has what lies up to a position. */
  acknowledge(device: Sender, upTo: number): Promise<void>
  /** Forgets what guards against repetition, long after. @param now epoch ms */
  cleanUp(now: number): Promise<void>
  /** For the sender of federation transactions. */
  outgoing: {
    destinations(): Promise<ServerName[]>
    take(destination: ServerName, limit: number): Promise<{ id: string; edus: Edu[]; delivered(tx: Tx): Promise<void> }>
  }
}

/** Client-server API, "Send-to-Device messaging": the most messages in one sync. */
const MESSAGES_PER_SYNC = 100
/** What a device may leave lying, and what may wait for a destination; beyond it the oldest goes or new ones are refused. */
const INBOX_LIMIT = 20_000
const QUEUE_LIMIT = 20_000
const REMEMBERED_MS = 24 * 3_600_000
/** So much of a queue goes out at a time, in UTF-16 code units: other servers read no more than some megabytes. */
const BATCH_LENGTH = 2_000_000

/** @param wakeSender called after the commit, with the destinations that something was queued for */
export function createToDevice(parts: {
  store: Store
  clock: Clock
  random: Random
  log: Logger
  serverName: ServerName
  wakeSender: (destinations: readonly ServerName[]) => void
  /** What messages of a remote user say of the user's devices. Part of the transaction that takes them in. */
  devicesSeen(
    tx: Tx,
    userId: UserId,
    seen: { deviceIds: Iterable<string>; senderKeys: Iterable<string> },
  ): Promise<void>
}): ToDevice {
  const { store, clock, random, log, serverName, wakeSender, devicesSeen } = parts

  /** Puts messages into the inboxes of those devices that exist. */
  async function deliver(tx: Tx, sender: UserId, type: string, messages: Messages): Promise<void> {
    const userIds = [...messages.keys()]
    const devices = Map.groupBy(await heldDevices(tx.db, userIds), (device) => device.user_id)
    const sizes = await storage.inboxSizes(tx.db, userIds)
    const full = new Set(
      sizes.filter((one) => one.count >= INBOX_LIMIT).map((one) => `${one.user_id} ${one.device_id}`),
    )
    const inbox: storage.InboxMessage[] = []
    for (const [userId, byDevice] of messages) {
      const everywhere = byDevice.get('*')
      for (const { device_id: deviceId } of devices.get(userId) ?? []) {
        const content = byDevice.get(deviceId) ?? everywhere
        if (content === undefined) continue
        if (full.has(`${userId} ${deviceId}`)) log.warn({ userId, deviceId }, 'an inbox is full; a message was dropped')
        else inbox.push({ userId, deviceId, message: JSON.stringify({ sender, type, content }) })
      }
    }
    if (inbox.length === 0) return
    tx.wake(new Set(inbox.map((message) => message.userId)))
    await storage.addMessages(tx.db, await tx.position(), inbox)
  }

  async function queue(tx: Tx, sender: UserId, type: string, messages: Messages): Promise<void> {
    const byServer = Map.groupBy(messages, ([userId]) => serverNameOf(userId))
    if (byServer.size === 0) return
    const queued = [...byServer].map(([destination, theirs]) => {
      const byUser = Object.fromEntries(theirs.map(([userId, byDevice]) => [userId, Object.fromEntries(byDevice)]))
      const content = { sender, type, message_id: opaqueId(random), messages: byUser }
      return { destination, content: JSON.stringify(content) }
    })
    await storage.queueMessages(tx.db, queued, clock.now())
    const destinations = [...byServer.keys()]
    for (const destination of destinations) {
      const dropped = await dropOldest(tx.db, 'outgoing_device_messages', destination, QUEUE_LIMIT)
      if (dropped > 0)
        log.warn({ destination, dropped }, 'too many messages wait for a server; the oldest were dropped')
    }
    tx.afterCommit(() => wakeSender(destinations))
  }

  async function receiveOne(origin: ServerName, content: unknown): Promise<void> {
    const edu = readDirectToDevice(origin, content, serverName)
    if (!edu) {
      log.debug({ origin }, 'ignored an m.direct_to_device that is malformed or of another server')
      return
    }
    await store.transaction(async (tx) => {
      if (!(await storage.noteReceived(tx.db, origin, edu.messageId, clock.now()))) return
      await deliver(tx, edu.sender, edu.type, edu.messages)
      const seen = sendingDevices(edu.type, edu.messages)
      if (seen.deviceIds.size + seen.senderKeys.size > 0) await devicesSeen(tx, edu.sender, seen)
    })
  }

  return {
    async send(sender, type, txnId, messages) {
      const here = new Map([...messages].filter(([userId]) => serverNameOf(userId) === serverName))
      const elsewhere = new Map([...messages].filter(([userId]) => !here.has(userId)))
      requireCanonical(type, elsewhere)
      await store.transaction(async (tx) => {
        const request = JSON.stringify([type, txnId])
        if (!(await storage.noteTransaction(tx.db, sender, request, clock.now()))) return
        await queue(tx, sender.userId, type, elsewhere)
        await deliver(tx, sender.userId, type, here)
      })
    },
    async receive(origin, contents) {
      for (const content of contents) await receiveOne(origin, content)
    },
    async read(device, after, upTo) {
      const limit = MESSAGES_PER_SYNC + 1
      const rows = await storage.inboxMessages(store.db, device, { after, upTo, limit })
      const events = rows.slice(0, MESSAGES_PER_SYNC).map((row) => JSON.parse(row.message))
      if (rows.length < limit) return { events, position: upTo }
      // Cut between two positions; a transaction puts one message into an inbox, so there always is a place to cut.
      const next = rows[MESSAGES_PER_SYNC]!.position
      const whole = rows.filter((row) => row.position < next)
      return { events: events.slice(0, whole.length), position: whole.at(-1)?.position ?? after }
    },
    acknowledge: (device, upTo) => storage.removeMessages(store.db, device, upTo),
    cleanUp: (now) => storage.forgetNoted(store.db, now - REMEMBERED_MS),
    outgoing: {
      destinations: () => storage.queuedMessageDestinations(store.db),
      async take(destination, limit) {
        const queued = firstOf(await storage.queuedMessages(store.db, destination, limit))
        const ids = queued.map((message) => message.id)
        return {
          id: ids.join(),
          edus: queued.map((message) => ({ edu_type: 'm.direct_to_device', content: JSON.parse(message.content) })),
          delivered: (tx) => storage.removeQueued(tx.db, ids),
        }
      },
    },
  }
}

/**
 * What goes to other servers is signed with all that is sent in the same transaction: one content without a canonical form would
 * hold the others up for ever. @throws `M_BAD_JSON`
 */
function requireCanonical(type: string, messages: Messages): void {
  const contents = [...messages].flatMap(([, byDevice]) => [...byDevice].flat())
  if (canonicalJson([type, contents]) === undefined)
    throw badJson('Contents for other servers may have no fractions, large numbers or broken texts')
}

/** As many messages as fit into one batch, and at least one. */
function firstOf(queued: { id: number; content: string }[]): { id: number; content: string }[] {
  let length = 0
  return queued.filter(({ content }, index) => {
    length += content.length
    return index === 0 || length <= BATCH_LENGTH
  })
}

const MAX_MESSAGE_ID_LENGTH = 255
/** The most users that one request or EDU may name. */
const MAX_USERS = 5_000

/** Reads the content of an `m.direct_to_device`. Server-server API, "Send-to-device messaging". */
function readDirectToDevice(
  origin: ServerName,
  content: unknown,
  ourName: ServerName,
): { sender: UserId; type: string; messageId: string; messages: Messages } | undefined {
  if (!isObject(content)) return undefined
  const { sender, type, message_id: messageId } = content
  if (!isUserId(sender) || serverNameOf(sender) !== origin || typeof type !== 'string') return undefined
  if (typeof messageId !== 'string' || messageId.length > MAX_MESSAGE_ID_LENGTH) return undefined
  const messages = readMessages(content.messages)
  if (!messages) return undefined
  const ours = [...messages].filter(([userId]) => serverNameOf(userId) === ourName)
  return { sender, type, messageId, messages: new Map(ours) }
}

/** A name of a device, or a key, that is longer than this is none. */
const MAX_NAME_LENGTH = 255

/**
 * The sender's devices that messages tell of: by ID in key requests and verifications, by Curve25519 key in what Olm has
 * encrypted. Client-server API, "m.room_key_request", "m.key.verification.start", "m.olm.v1.curve25519-aes-sha2".
 */
function sendingDevices(type: string, messages: Messages): { deviceIds: Set<string>; senderKeys: Set<string> } {
  const [deviceIds, senderKeys] = [new Set<string>(), new Set<string>()]
  for (const byDevice of messages.values()) {
    for (const content of byDevice.values()) {
      const { requesting_device_id, from_device, sender_key } = content as Record<string, unknown>
      const isName = (name: unknown) => typeof name === 'string' && name.length <= MAX_NAME_LENGTH
      for (const id of [requesting_device_id, from_device]) if (isName(id)) deviceIds.add(id as string)
      if (type === 'm.room.encrypted' && isName(sender_key)) senderKeys.add(sender_key as string)
    }
  }
  return { deviceIds, senderKeys }
}

/** Reads `{userId: {deviceId: content}}`. @returns `undefined` if the shape is wrong, or there are too many users */
export function readMessages(value: unknown): Messages | undefined {
  if (!isObject(value)) return undefined
  const messages = new Map<UserId, Map<string, unknown>>()
  for (const [userId, byDevice] of Object.entries(value)) {
    if (!isUserId(userId) || !isObject(byDevice)) return undefined
    const contents = entriesOf(byDevice)
    if (!contents.every(([, content]) => isObject(content))) return undefined
    messages.set(userId, new Map(contents))
  }
  return messages.size <= MAX_USERS ? messages : undefined
}
