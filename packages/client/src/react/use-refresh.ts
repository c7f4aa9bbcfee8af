import type { MatrixClient } from 'matrix-js-sdk'
import { useCallback, useEffect, useRef, useState } from 'react'
import type { RefreshArrival, RefreshFailure } from '../outcome.ts'
import { refreshDeviceList } from '../refresh.ts'

/** How a request that a person made stands. */
export type DeviceListRefreshState =
  | { phase: 'idle' }
  | { phase: 'asking' }
  | { phase: 'arrived'; devices: RefreshArrival['devices'] }
  /**
   * `retryAt`: when the homeserver tries again, or may be asked again, in epoch milliseconds. After a failure with
   * `retryScheduled` the phase becomes `arrived` by itself once a retry of the homeserver's succeeds.
   */
  | { phase: 'failed'; failure: RefreshFailure; retryAt: number | null }
  /** The own homeserver could not be reached. */
  | { phase: 'error'; error: unknown }

/** What {@link useDeviceListRefresh} returns. */
export type DeviceListRefresh = {
  state: DeviceListRefreshState
  /** Asks; while a request is under way, nothing happens. */
  refresh: () => void
  /** Gives up what is under way. */
  cancel: () => void
}

/** For so long the homeserver's own retries are waited for (ms). */
const PATIENCE_MS = 3_600_000

/** Asks for a user's device list at a person's wish. Another client or user, or leaving the page, gives up what is under way. */
export function useDeviceListRefresh(client: MatrixClient, userId: string): DeviceListRefresh {
  const [state, setState] = useState<DeviceListRefreshState>({ phase: 'idle' })
  const underWay = useRef<AbortController | null>(null)
  const isAsking = state.phase === 'asking'

  const end = useCallback(() => {
    underWay.current?.abort()
    underWay.current = null
  }, [])

  const cancel = useCallback(() => {
    end()
    setState({ phase: 'idle' })
  }, [end])

  // biome-ignore lint/correctness/useExhaustiveDependencies: another client or user begins anew.
  useEffect(() => cancel, [client, userId, cancel])

  const refresh = useCallback(() => {
    if (isAsking) return
    end()
    const own = new AbortController()
    underWay.current = own
    const show = (next: DeviceListRefreshState) => void (underWay.current === own && setState(next))
    show({ phase: 'asking' })
    run(client, userId, own.signal, show).catch((error: unknown) => show({ phase: 'error', error }))
  }, [client, userId, isAsking, end])

  return { state, refresh, cancel }
}

async function run(
  client: MatrixClient,
  userId: string,
  abortSignal: AbortSignal,
  show: (state: DeviceListRefreshState) => void,
): Promise<void> {
  let failed = false
  const onFailure = (failure: RefreshFailure) => {
    failed = true
    show(failedState(failure))
  }
  const outcome = await refreshDeviceList(client, userId, {
    timeoutMs: PATIENCE_MS,
    abortSignal,
    keepTrying: true,
    onFailure,
  })
  if (outcome.outcome === 'arrived') show({ phase: 'arrived', devices: outcome.devices })
  else if (outcome.outcome === 'pending') show({ phase: 'idle' })
  else if (!failed || !outcome.retryScheduled) show(failedState(outcome))
}

function failedState(failure: RefreshFailure): DeviceListRefreshState {
  const { retryAfterMs } = failure
  return { phase: 'failed', failure, retryAt: retryAfterMs === null ? null : Date.now() + retryAfterMs }
}
