import { createEventParser } from './event-stream.ts'
import { ApiError } from './homeserver.ts'
import { pause } from './pause.ts'
import type { Session } from './session.ts'
import type { DeviceListNews } from './types.ts'

const PATH = '/_evergreen/client/v1/device_lists'
/** The homeserver says something at least every ten seconds (ms). */
const SILENCE_MS = 30_000
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 30_000

type Listener = { onNews(news: DeviceListNews, isAll: boolean): void; onConnected(connected: boolean): void }

/** Follows the device lists until the signal is aborted; a stream that breaks off is opened again. */
export async function followDeviceLists(session: Session, listener: Listener, signal: AbortSignal): Promise<void> {
  let wait = FIRST_WAIT_MS
  while (!signal.aborted) {
    try {
      await session.withToken((token) =>
        readStream(token, signal, (event, data) => {
          wait = FIRST_WAIT_MS
          listener.onConnected(true)
          if (data !== undefined) listener.onNews(JSON.parse(data) as DeviceListNews, event === 'state')
        }),
      )
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return
      if (error instanceof ApiError && error.retryAfterMs !== undefined) wait = Math.max(wait, error.retryAfterMs)
    }
    if (signal.aborted) return
    // A stream ends with the token that opened it, every few minutes; that is no loss.
    if (wait > FIRST_WAIT_MS) listener.onConnected(false)
    await pause(wait, signal)
    wait = Math.min(wait * 2, LONGEST_WAIT_MS)
  }
}

async function readStream(
  token: string,
  signal: AbortSignal,
  onEvent: (event: string, data: string | undefined) => void,
): Promise<void> {
  // A connection that has gone silent is no longer one.
  const silent = new AbortController()
  let alarm = setTimeout(() => silent.abort(), SILENCE_MS)
  try {
    const response = await fetch(PATH, {
      headers: { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' },
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.any([signal, silent.signal]),
    })
    if (!response.ok || !response.body) {
      throw new ApiError(response.status, (await response.json().catch(() => ({}))) as Record<string, unknown>)
    }
    const parse = createEventParser()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      clearTimeout(alarm)
      alarm = setTimeout(() => silent.abort(), SILENCE_MS)
      const events = parse(value)
      if (events.length === 0) onEvent('', undefined)
      for (const { event, data } of events) onEvent(event, data)
    }
  } finally {
    clearTimeout(alarm)
  }
}
