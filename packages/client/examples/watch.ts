import { watch } from '@evergreen/client'
import type { MatrixClient } from 'matrix-js-sdk'

/** Keeps the device lists of those we write to fresh; returns what ends it, for when the person signs out. */
export function keepFresh(client: MatrixClient, log: (line: string) => void): () => void {
  return watch(client, {
    verificationRequests: false, // each occasion can be left out
    onRefresh: ({ userId, occasion, outcome }) => log(`${userId} (${occasion}): ${outcome.outcome}`),
    onError: (error) => log(String(error)),
  })
}
