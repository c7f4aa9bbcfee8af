import { refreshDeviceList } from '@evergreen/client'
import type { MatrixClient } from 'matrix-js-sdk'

/** What to tell a person who wants somebody's devices to be looked up again. */
export async function refresh(client: MatrixClient, userId: string, abortSignal?: AbortSignal): Promise<string> {
  const result = await refreshDeviceList(client, userId, { timeoutMs: 20_000, ...(abortSignal && { abortSignal }) })
  switch (result.outcome) {
    case 'arrived':
      return `${userId} has ${result.devices.size} device(s); new messages are encrypted for them.`
    case 'pending':
      return 'Their server takes its time. The list comes by itself.'
    case 'failed':
      if (result.retryScheduled) return `Not yet (${result.reason}), but our homeserver keeps trying.`
      return `It cannot be done: ${result.reason}.`
  }
}
