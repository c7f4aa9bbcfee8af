import { sql } from 'kysely'
import { type Clock, sleep } from '../platform/clock.ts'
import type { Db } from './store.ts'

/** The channel of PostgreSQL over which the processes of one server wake each other's long polls. */
const CHANNEL = 'evergreen_wake'
/** PostgreSQL takes less than 8,000 bytes at a time. */
const MAX_PAYLOAD_BYTES = 7_500
/** More keys than this wake everybody, which costs less than naming them. */
const MAX_KEYS = 1_000
/** After the connection broke, it is made again this often (ms). */
const RECONNECT_MS = 1_000

/** One connection that hears what other processes say. */
export type Listening = {
  /** Rejects if it cannot be made. `onEnd` is called once when it breaks. */
  connect(channel: string, onPayload: (payload: string) => void, onEnd: () => void): Promise<{ close(): Promise<void> }>
}

/** What is told between processes: who says it, and the keys; no keys stand for all. */
type Message = { from: string; keys?: string[] }

/** Tells other processes, at the commit of the transaction, to wake whoever waits for these keys. */
export async function tellProcesses(db: Db, from: string, keys: ReadonlySet<string>): Promise<void> {
  for (const message of messagesOf(from, keys)) {
    await sql`select pg_notify(${CHANNEL}, ${JSON.stringify(message)})`.execute(db)
  }
}

function messagesOf(from: string, keys: ReadonlySet<string>): Message[] {
  if (keys.size > MAX_KEYS) return [{ from }]
  const messages: Message[] = []
  let some: string[] = []
  let size = 0
  for (const key of keys) {
    const bytes = Buffer.byteLength(JSON.stringify(key)) + 1
    if (size + bytes > MAX_PAYLOAD_BYTES - from.length - 50) {
      messages.push({ from, keys: some })
      some = []
      size = 0
    }
    some.push(key)
    size += bytes
  }
  if (some.length > 0) messages.push({ from, keys: some })
  return messages
}

/**
 * Hears what other processes say until it is closed. A hint only: what was said while there was no connection is made up
 * for by waking everybody.
 * @param own what this process calls itself: it has woken its own already
 * @param wake called with the keys, or without any for all
 */
export function hearProcesses(
  listening: Listening,
  { clock, own, wake }: { clock: Clock; own: string; wake(keys?: readonly string[]): void },
): { close(): Promise<void> } {
  const closing = new AbortController()

  function hear(payload: string): void {
    const { from, keys } = JSON.parse(payload) as Message
    if (from === own) return
    wake(keys)
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const ended = Promise.withResolvers<void>()
      const connection = await listening.connect(CHANNEL, hear, ended.resolve).catch(() => undefined)
      if (connection) {
        // What was said before this is made up for.
        wake()
        closing.signal.addEventListener('abort', () => ended.resolve(), { once: true })
        if (closing.signal.aborted) ended.resolve()
        await ended.promise
        await connection.close().catch(() => {})
      }
      if (!closing.signal.aborted) await sleep(clock, RECONNECT_MS, closing.signal)
    }
  }

  const running = run()
  return {
    async close() {
      closing.abort()
      await running
    },
  }
}
