import type { MatrixClient } from 'matrix-js-sdk'

/**
 * Lets something happen before each verification request to another user is sent. The SDK has no event for that, so the
 * crypto API's own method is led through here until it is given back.
 *
 * @param before - the request goes out when this has ended, however it ends
 * @returns what gives the method back
 */
export function beforeVerificationRequests(
  client: MatrixClient,
  before: (userId: string, roomId: string) => Promise<void>,
): () => void {
  const crypto = client.getCrypto()
  if (!crypto) return () => {}
  const original = crypto.requestVerificationDM
  const isOwn = Object.hasOwn(crypto, 'requestVerificationDM')
  const led: typeof original = async (userId, roomId) => {
    await before(userId, roomId).catch(() => {})
    return original.call(crypto, userId, roomId)
  }
  crypto.requestVerificationDM = led
  return () => {
    // Whoever has put something over it meanwhile calls `led`, which goes on to do no harm.
    if (crypto.requestVerificationDM !== led) return
    if (isOwn) crypto.requestVerificationDM = original
    else Reflect.deleteProperty(crypto, 'requestVerificationDM')
  }
}
