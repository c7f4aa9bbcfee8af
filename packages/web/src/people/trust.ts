import type { CrossSigningKey, DeviceKeys, KeysAnswer } from '../api/types.ts'

/**
 * What signatures say of a device: `signed` by its owner's self-signing key; `unsigned`; `forged`, a signature that is not
 * good; `noCrossSigning`, where the owner has no such key.
 */
export type DeviceMark = 'signed' | 'unsigned' | 'forged' | 'noCrossSigning'

export type ShownDevice = { deviceId: string; name: string | undefined; mark: DeviceMark }

/** What a person's keys say. */
export type PersonKeys = {
  devices: ShownDevice[]
  /** Whether they have cross-signing keys. */
  crossSigning: boolean
  /** Whether your own user-signing key has signed their master key: you have verified them in one of your clients. */
  verifiedByYou: boolean
  /** Whether this browser can check signatures; where it cannot, their presence is all that is known. */
  checked: boolean
}

/** A check of one signature. `undefined`: this browser cannot. */
export type Verify = (message: string, signature: string, publicKey: string) => Promise<boolean | undefined>

/** Reads what the homeserver tells of a user's keys, as `ownId` may see it. Client-server API, "Cross-signing". */
export async function personKeys(
  answer: KeysAnswer,
  userId: string,
  ownId: string,
  verify: Verify = verifyHere,
): Promise<PersonKeys> {
  let checked = true
  async function isSigned(signed: CrossSigningKey | DeviceKeys, by: CrossSigningKey | undefined): Promise<Signed> {
    const [keyId, publicKey] = Object.entries(by?.keys ?? {})[0] ?? []
    const signature = by && keyId && signed.signatures?.[by.user_id]?.[keyId]
    if (!signature || !publicKey) return 'no'
    const good = await verify(signedText(signed), signature, publicKey)
    if (good === undefined) checked = false
    return good === false ? 'badly' : 'yes'
  }

  const master = answer.master_keys?.[userId]
  const given = answer.self_signing_keys?.[userId]
  const selfSigning = master && given && (await isSigned(given, master)) === 'yes' ? given : undefined
  const ownMaster = answer.master_keys?.[ownId]
  const ownSigning = answer.user_signing_keys?.[ownId]
  const userSigning =
    ownMaster && ownSigning && (await isSigned(ownSigning, ownMaster)) === 'yes' ? ownSigning : undefined
  const devices = await Promise.all(
    Object.values(answer.device_keys?.[userId] ?? {}).map(async (keys): Promise<ShownDevice> => {
      const mark = selfSigning ? MARKS[await isSigned(keys, selfSigning)] : 'noCrossSigning'
      return { deviceId: keys.device_id, name: keys.unsigned?.device_display_name, mark }
    }),
  )
  devices.sort((one, other) => (one.deviceId < other.deviceId ? -1 : 1))
  return {
    devices,
    crossSigning: selfSigning !== undefined,
    verifiedByYou: master !== undefined && (await isSigned(master, userSigning)) === 'yes',
    checked,
  }
}

type Signed = 'yes' | 'no' | 'badly'
const MARKS: Record<Signed, DeviceMark> = { yes: 'signed', no: 'unsigned', badly: 'forged' }

/** What a signature is made over. Appendices, "Signing JSON". */
function signedText({ signatures: _, ...signed }: CrossSigningKey | DeviceKeys): string {
  const { unsigned: __, ...rest } = signed as DeviceKeys
  return canonicalJson(rest)
}

/** Appendices, "Canonical JSON". */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}

/** By WebCrypto, which browsers have on `https:` and on this machine alone. */
const verifyHere: Verify = async (message, signature, publicKey) => {
  try {
    if (!crypto.subtle) return undefined
    const key = await crypto.subtle.importKey('raw', bytesOf(publicKey), { name: 'Ed25519' }, false, ['verify'])
    return await crypto.subtle.verify('Ed25519', key, bytesOf(signature), new TextEncoder().encode(message))
  } catch (error) {
    // A browser without Ed25519 cannot tell; keys that are none are not good.
    return error instanceof DOMException && error.name === 'NotSupportedError' ? undefined : false
  }
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
