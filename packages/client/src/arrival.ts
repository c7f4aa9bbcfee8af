import { ClientEvent, type MatrixClient, type SyncState } from 'matrix-js-sdk'
import type { Device } from 'matrix-js-sdk/lib/models/device.js'
import { getDeviceListState } from './state.ts'

/** Looks out for the news of one user's device list, from its start on. */
export type Arrival = {
  /**
   * Resolves when a sync has brought the news and the crypto store has the keys.
   *
   * @returns the devices that the store has; none for a client without crypto
   * @throws the signal's reason, once it is aborted
   */
  wait(signal: AbortSignal): Promise<ReadonlyMap<string, Device>>
  stop(): void
}

type SyncData = { nextSyncToken?: string }

/**
 * The SDK does not tell what a sync said about device lists, and tells of the store's changes only if there were any. So
 * each sync that ends is looked up in `GET /keys/changes`, which says the same as the `device_lists` of `/sync`.
 */
export function listenForArrival(client: MatrixClient, userId: string): Arrival {
  const from = client.store.getSyncToken()
  let newest: string | undefined
  let wake = () => {}

  const onSync = (_state: SyncState, _before: SyncState | null, data?: SyncData) => {
    if (!data?.nextSyncToken) return
    newest = data.nextSyncToken
    wake()
  }
  client.on(ClientEvent.Sync, onSync)

  /** Without a token from before there was no sync yet: the first one leaves nothing to be told. */
  async function isTold(to: string): Promise<boolean> {
    return from === null || (await client.getKeyChanges(from, to)).changed.includes(userId)
  }

  /** Older news may come while the fetch is under way; a homeserver that tells how the list stands settles it. */
  async function isStillAwaited(abortSignal: AbortSignal): Promise<boolean> {
    const state = (await getDeviceListState(client, userId, { abortSignal }))?.state
    return state === 'pending' || state === 'failing'
  }

  return {
    async wait(signal) {
      const onAbort = () => wake()
      signal.addEventListener('abort', onAbort)
      try {
        for (let looked: string | undefined; ; ) {
          while (newest === looked && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
          signal.throwIfAborted()
          looked = newest!
          if ((await isTold(looked)) && !(await isStillAwaited(signal)))
            return await storedDevices(client, userId, signal)
        }
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
    stop: () => void client.off(ClientEvent.Sync, onSync),
  }
}

/** The store waits a second for a `/keys/query` that is under way: so many seconds are enough. */
const MAX_LOOKS = 10

/** What the crypto store has of a user, once that is what the homeserver has. */
async function storedDevices(
  client: MatrixClient,
  userId: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Device>> {
  const crypto = client.getCrypto()
  if (!crypto) return new Map()
  const look = async () => (await crypto.getUserDeviceInfo([userId])).get(userId)
  let stored = await look()
  // The store keeps the lists of those alone with whom an encrypted room is shared.
  if (!stored) return (await crypto.getUserDeviceInfo([userId], true)).get(userId) ?? new Map()

  const { device_keys } = await client.downloadKeysForUsers([userId])
  const wanted = Object.entries(device_keys?.[userId] ?? {})
  // A device whose keys are not well signed never gets into the store, so this ends.
  for (let looks = 1; looks < MAX_LOOKS && !hasAll(stored, wanted); looks++) {
    signal.throwIfAborted()
    stored = (await look()) ?? new Map()
  }
  return stored
}

function hasAll(
  stored: ReadonlyMap<string, Device>,
  wanted: readonly [deviceId: string, { keys: Record<string, string> }][],
): boolean {
  return (
    stored.size === wanted.length &&
    wanted.every(([id, { keys }]) => stored.get(id)?.getFingerprint() === keys[`ed25519:${id}`])
  )
}
