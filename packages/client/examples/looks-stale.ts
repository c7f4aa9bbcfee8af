import { looksStale, type StaleSign } from '@evergreen/client'
import type { MatrixClient } from 'matrix-js-sdk'

/** Why the device list of a user may be out of date, in a sentence; nothing if all is well. */
export async function whyStale(client: MatrixClient, userId: string): Promise<string | undefined> {
  const { stale, signs } = await looksStale(client, userId)
  return stale ? signs.map(inWords).join('; ') : undefined
}

function inWords(seen: StaleSign): string {
  switch (seen.sign) {
    case 'noDevices':
      return 'they have no devices'
    case 'unsignedDevices':
      return `they use cross-signing, and none of ${seen.deviceIds.join(', ')} is signed`
    case 'unknownSenderDevice':
      return `${seen.events.length} message(s) came from a device that is not in the list`
    case 'serverFailure':
      return `${seen.serverName} could not be asked`
  }
}
