import { forbidden } from '../matrix/errors.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { createWorkerLoop, type WorkerLoop } from '../platform/worker-loop.ts'
import type { Presence as PresenceState } from '../storage/ephemeral-tables.ts'
import * as storage from '../storage/presence.ts'
import type { Db, Tx } from '../storage/store.ts'
import type { Outgoing } from './outgoing.ts'
import type { EphemeralParts } from './ports.ts'
import { addUp, presenceContent, type RemotePresence, readPresence } from './presence-rules.ts'

type Device = { userId: UserId; deviceId: string }
/** As `/sync` shows it. */
type PresenceEvent = { type: 'm.presence'; sender: UserId; content: JsonObject }

export type Presence = {
  /**
   * `PUT /presence/{userId}/status`: what one device says, until it says otherwise or stops syncing.
   * @param statusMsg takes the place of the last one
   */
  setPresence(device: Device, presence: PresenceState, statusMsg: string | undefined): Promise<void>
  /** `GET /presence/{userId}/status` @throws `M_FORBIDDEN` unless they share a room */
  presenceOf(requester: UserId, userId: UserId): Promise<JsonObject>
  /**
   * A device syncs. Writes only where that says something new.
   * @param timeoutMs how long the request may take
   */
  syncing(device: Device, presence: PresenceState, timeoutMs: number): Promise<void>
  /** The user has done something themselves, such as sending an event. Writes once a minute at most. */
  active(device: Device): Promise<void>
  /** `m.presence` EDUs of another server. Server-server API, "Presence". */
  receivePresence(origin: ServerName, contents: readonly unknown[]): Promise<void>
  /** Tells servers that our users share a room with from now on. */
  introduce(tx: Tx, userIds: readonly UserId[], servers: readonly ServerName[]): Promise<void>
  /**
   * For sync: the presence of the user and of those who share a room with them, where it changed after position `after`,
   * up to `upTo`; from the beginning (`after` 0), of those who are not offline.
   */
  presenceSince(db: Db, userId: UserId, after: number, upTo: number): Promise<PresenceEvent[]>
  /** For sync: the presence of these users, with whom a room has come to be shared. */
  presenceOfUsers(db: Db, userIds: readonly UserId[]): Promise<PresenceEvent[]>
  /** Does what time alone does. */
  timers: WorkerLoop
}

/** A device that has stopped syncing counts for so long after its last request could have ended (ms). */
const GRACE_MS = 90_000
/** What a device says without syncing holds for so long (ms). */
const SAID_MS = 5 * 60_000
/** How often it is noted that nothing has changed, at most (ms). */
const NOTED_EVERY_MS = 60_000
/** Other servers forget what they were not told again within half an hour; so do we. */
const TELL_AGAIN_MS = 25 * 60_000
const REMOTE_LASTS_MS = 35 * 60_000
/** The most users that one answer, or one pass of the timers, looks at. */
const MOST_SHOWN = 2_000
const DUE_AT_ONCE = 100

/** Who is there. Kept in the database; every process sees the same. */
export function createPresence(parts: EphemeralParts, outgoing: Pick<Outgoing, 'queue'>): Presence {
  const { store, clock, log, serverName, rooms } = parts

  /** Writes a row if it says anything new; tells those who see it if it shows. */
  async function save(
    tx: Tx,
    before: storage.PresenceRow | undefined,
    row: Omit<storage.PresenceRow, 'position'>,
  ): Promise<void> {
    const shows = !before || SHOWN.some((column) => before[column] !== row[column])
    if (!shows && KEPT.every((column) => before[column] === row[column])) return
    const position = shows ? await tx.position() : before.position
    await storage.putPresence(tx.db, { ...row, position })
    if (shows) tx.wake([row.user_id, ...(await rooms.localUsers(tx.db, [row.user_id]))])
    if (row.due_at !== null) tx.afterCommit(() => timers.wake())
  }

  async function tell(tx: Tx, row: Omit<storage.PresenceRow, 'position'>, servers: readonly ServerName[]) {
    await outgoing.queue(tx, servers, {
      kind: 'presence',
      userId: row.user_id,
      presence: row.presence,
      statusMsg: row.status_msg,
      lastActiveAt: row.last_active_at,
      currentlyActive: row.currently_active === 1,
    })
  }

  /** Adds up anew what one of our users' devices say. */
  async function update(
    tx: Tx,
    userId: UserId,
    change: { activeAt?: number; statusMsg?: string | null } = {},
  ): Promise<void> {
    const now = clock.now()
    const before = await storage.presenceRow(tx.db, userId)
    const lastActiveAt = change.activeAt ?? before?.last_active_at ?? now
    const { presence, currentlyActive, dueAt } = addUp(await storage.presenceDevices(tx.db, userId), lastActiveAt, now)
    const again = before && presence !== 'offline' && now - before.told_at >= TELL_AGAIN_MS
    const row = {
      user_id: userId,
      presence,
      status_msg: change.statusMsg === undefined ? (before?.status_msg ?? null) : change.statusMsg,
      last_active_at: lastActiveAt,
      currently_active: currentlyActive ? 1 : 0,
      told_at: again ? now : (before?.told_at ?? now),
      due_at: dueAt,
    }
    const shows = !before || SHOWN.some((column) => before[column] !== row[column])
    if (shows) row.told_at = now
    if (row.due_at !== null) row.due_at = Math.min(row.due_at, row.told_at + TELL_AGAIN_MS)
    await save(tx, before, row)
    if (shows || again) await tell(tx, row, await rooms.servers(tx.db, userId))
  }

  /** A device says something, for so long at least. What turns it to `online` is the user's own doing. */
  async function say(tx: Tx, { userId, deviceId }: Device, presence: PresenceState, lastsMs: number) {
    const now = clock.now()
    const before = await storage.presenceDevice(tx.db, userId, deviceId)
    const was = before && before.expires_at > now ? before.presence : 'offline'
    if (presence === 'offline') await storage.removePresenceDevices(tx.db, userId, { deviceId })
    else {
      const expires_at = Math.max(now + lastsMs, before?.expires_at ?? 0)
      await storage.putPresenceDevice(tx.db, userId, { device_id: deviceId, presence, expires_at })
    }
    return presence === 'online' && was !== 'online' ? { activeAt: now } : {}
  }

  async function takeRemote(tx: Tx, said: RemotePresence, now: number): Promise<void> {
    if ((await rooms.localUsers(tx.db, [said.userId])).length === 0) return
    await save(tx, await storage.presenceRow(tx.db, said.userId), {
      user_id: said.userId,
      presence: said.presence,
      status_msg: said.statusMsg,
      last_active_at: said.lastActiveAt,
      currently_active: said.currentlyActive ? 1 : 0,
      told_at: now,
      due_at: said.presence === 'offline' ? null : now + REMOTE_LASTS_MS,
    })
  }

  /** A user whom their own server has not mentioned for too long. */
  async function giveUp(tx: Tx, userId: UserId): Promise<void> {
    const before = await storage.presenceRow(tx.db, userId)
    if (!before?.due_at || before.due_at > clock.now()) return
    await save(tx, before, { ...before, presence: 'offline', currently_active: 0, due_at: null })
  }

  const timers = createWorkerLoop({
    clock,
    lookEveryMs: store.lookEveryMs,
    onError: (error) => log.error({ err: error }, 'bringing presence up to date failed'),
    async pass(signal) {
      const now = clock.now()
      const due = await storage.duePresence(store.db, now, DUE_AT_ONCE)
      for (const userId of due) {
        if (signal.aborted) break
        await store.transaction(async (tx) => {
          if (serverNameOf(userId) !== serverName) return giveUp(tx, userId)
          await storage.removePresenceDevices(tx.db, userId, { before: now })
          await update(tx, userId)
        })
      }
      return { more: due.length > 0, nextAt: due.length > 0 ? null : await storage.nextPresenceDue(store.db) }
    },
  })

  const eventOf = (row: storage.PresenceRow): PresenceEvent => ({
    type: 'm.presence',
    sender: row.user_id,
    content: presenceContent(row, clock.now()),
  })

  return {
    async setPresence(device, presence, statusMsg) {
      await store.transaction(async (tx) => {
        const change = await say(tx, device, presence, SAID_MS)
        const activeAt = presence === 'online' ? { activeAt: clock.now() } : change
        await update(tx, device.userId, { ...activeAt, statusMsg: statusMsg ? statusMsg : null })
      })
    },

    async presenceOf(requester, userId) {
      const visible = requester === userId || (await rooms.sharing(store.db, requester, [userId])).has(userId)
      if (!visible) throw forbidden('You are not allowed to see their presence')
      const row = await storage.presenceRow(store.db, userId)
      return row ? presenceContent(row, clock.now()) : { presence: 'offline' }
    },

    async syncing(device, presence, timeoutMs) {
      if (presence === 'offline') return
      const { userId, deviceId } = device
      const expiresAt = clock.now() + timeoutMs + GRACE_MS
      const kept = await storage.presenceDevice(store.db, userId, deviceId)
      const holds = kept?.presence === presence && kept.expires_at > clock.now()
      if (holds && expiresAt - kept.expires_at < NOTED_EVERY_MS) return
      await store.transaction(async (tx) => {
        await update(tx, userId, await say(tx, device, presence, timeoutMs + GRACE_MS))
      })
    },

    async active(device) {
      const now = clock.now()
      const row = await storage.presenceRow(store.db, device.userId)
      if (row?.presence === 'online' && now - row.last_active_at < NOTED_EVERY_MS) return
      await store.transaction(async (tx) => {
        await say(tx, device, 'online', GRACE_MS)
        await update(tx, device.userId, { activeAt: now })
      })
    },

    async receivePresence(origin, contents) {
      const now = clock.now()
      const said = contents.flatMap((content) => readPresence(origin, content, now))
      if (said.length === 0) return
      await store.transaction(async (tx) => {
        for (const one of said) await takeRemote(tx, one, now)
      })
    },

    async introduce(tx, userIds, servers) {
      const rows = await storage.presenceRows(tx.db, userIds)
      for (const row of rows) if (row.presence !== 'offline') await tell(tx, row, servers)
    },

    async presenceSince(db, userId, after, upTo) {
      const rows = await storage.presenceSince(db, { after, upTo, limit: MOST_SHOWN })
      const seen = after > 0 ? rows : rows.filter((row) => row.presence !== 'offline' || row.user_id === userId)
      const others = seen.map((row) => row.user_id).filter((other) => other !== userId)
      const sharing = others.length === 0 ? new Set() : await rooms.sharing(db, userId, others)
      return seen.filter((row) => row.user_id === userId || sharing.has(row.user_id)).map(eventOf)
    },

    async presenceOfUsers(db, userIds) {
      return (await storage.presenceRows(db, userIds.slice(0, MOST_SHOWN))).map(eventOf)
    },

    timers,
  }
}

/** What others see: the time of the last activity is not among it, it goes along with the rest. */
const SHOWN = ['presence', 'status_msg', 'currently_active'] as const
const KEPT = ['last_active_at', 'told_at', 'due_at'] as const
