import type { JsonObject } from '../../src/matrix/json.ts'
import { encodeBase64, type SigningKey, signingKeyFromSeed, signJson } from '../../src/matrix/signing.ts'
import type { Random } from '../../src/platform/random.ts'

// Keys as real clients make them, with real Ed25519 signatures. Curve25519 keys are any 32 bytes: nobody encrypts.

export type TestDevice = {
  userId: string
  deviceId: string
  signingKey: SigningKey
  /** `DeviceKeys` of the client-server API, signed by the device itself. */
  deviceKeys: JsonObject
  /** A new one-time key, or a fallback key: its name with algorithm, and the signed key. */
  oneTimeKey(options?: { fallback?: boolean }): [name: string, key: JsonObject]
}

/** A user's cross-signing keys, each signed by the master key. */
export type TestIdentity = {
  masterKey: JsonObject
  selfSigningKey: JsonObject
  userSigningKey: JsonObject
  /** `deviceKeys` with the self-signing key's signature added. */
  sign(deviceKeys: JsonObject): JsonObject
  /** Another user's master key with the user-signing key's signature added. */
  signUser(masterKey: JsonObject): JsonObject
}

export function createTestDevice(random: Random, userId: string, deviceId: string): TestDevice {
  const signingKey = signingKeyFromSeed(`ed25519:${deviceId}`, random.bytes(32))
  const curve25519 = () => encodeBase64(random.bytes(32))
  const deviceKeys = signJson(
    {
      user_id: userId,
      device_id: deviceId,
      algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: { [`curve25519:${deviceId}`]: curve25519(), [signingKey.keyId]: signingKey.publicKey },
    },
    userId,
    signingKey,
  )
  let made = 0
  return {
    userId,
    deviceId,
    signingKey,
    deviceKeys,
    oneTimeKey({ fallback = false } = {}) {
      const name = `signed_curve25519:AAAA${String(made++).padStart(4, '0')}`
      return [name, signJson({ key: curve25519(), ...(fallback ? { fallback } : {}) }, userId, signingKey)]
    },
  }
}

export function createTestIdentity(random: Random, userId: string): TestIdentity {
  const master = crossSigningKey(random)
  const selfSigning = crossSigningKey(random)
  const userSigning = crossSigningKey(random)
  const publicPart = (usage: string, { keyId, publicKey }: SigningKey) => ({
    user_id: userId,
    usage: [usage],
    keys: { [keyId]: publicKey },
  })
  return {
    masterKey: publicPart('master', master),
    selfSigningKey: signJson(publicPart('self_signing', selfSigning), userId, master),
    userSigningKey: signJson(publicPart('user_signing', userSigning), userId, master),
    sign: (deviceKeys) => signJson(deviceKeys, userId, selfSigning),
    signUser: (theirs) => signJson(theirs, userId, userSigning),
  }
}

/** The ID of a cross-signing key is the public key itself. */
function crossSigningKey(random: Random): SigningKey {
  const key = signingKeyFromSeed('ed25519:', random.bytes(32))
  return { ...key, keyId: `ed25519:${key.publicKey}` }
}
