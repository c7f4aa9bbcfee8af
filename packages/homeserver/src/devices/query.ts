import { isUserId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import {
  type CrossSigningKeyRow,
  crossSigningKeys,
  type ForeignSignatures,
  signaturesBy,
} from '../storage/cross-signing.ts'
import { type LocalDevice, localDevices } from '../storage/devices.ts'
import type { DeviceParts } from './ports.ts'

/** Which devices of which users are asked for; an empty list stands for all of a user's. */
type KeyQuery = ReadonlyMap<UserId, readonly string[]>

export type Query = {
  /**
   * The keys of users, ours and others', as one of our users sees them. Client-server API, "POST /keys/query".
   * @param waitMs how long to wait for other servers, in milliseconds
   * @returns the answer as JSON in UTF-8: most of it is passed on as it is kept
   */
  query(requester: UserId, asked: KeyQuery, waitMs: number): Promise<Buffer>
  /** The keys of our users, as other servers see them. Server-server API, "POST /user/keys/query". */
  queryForServer(asked: KeyQuery): Promise<Buffer>
}

/** The most users that one request may name. */
const MAX_USERS = 5_000

/** Parts of the answer, JSON text by user; what is long is UTF-8 already. */
type Answer = {
  deviceKeys: Map<UserId, string | Buffer>
  masterKeys: Map<UserId, string>
  selfSigningKeys: Map<UserId, string>
  userSigningKeys: Map<UserId, string>
}

export function createQuery({ store, serverName, lists }: DeviceParts): Query {
  async function addLocal(answer: Answer, asked: KeyQuery, requester: UserId | undefined): Promise<void> {
    const ours = [...asked.keys()].filter((userId) => serverNameOf(userId) === serverName)
    if (ours.length === 0) return
    const [devices, keys] = await Promise.all([localDevices(store.db, ours), crossSigningKeys(store.db, ours)])
    const byUser = Map.groupBy(devices, (device) => device.user_id)
    for (const [userId, theirs] of byUser) {
      const wanted = asked.get(userId)!
      const chosen = theirs.filter((device) => wanted.length === 0 || wanted.includes(device.device_id))
      answer.deviceKeys.set(userId, deviceKeysText(chosen))
    }
    for (const row of keys) placeOf(answer, row, requester)?.set(row.user_id, row.key)
  }

  return {
    async query(requester, asked, waitMs) {
      const answer = emptyAnswer()
      const remote = [...asked.keys()].filter((userId) => serverNameOf(userId) !== serverName)
      const [{ users, failures }] = await Promise.all([
        remote.length > 0 ? lists.remoteKeys(requester, remote, waitMs) : NOTHING_REMOTE,
        addLocal(answer, asked, requester),
      ])
      for (const [userId, keys] of users) {
        answer.deviceKeys.set(userId, onlyDevices(keys.deviceKeys, asked.get(userId)!))
        if (keys.masterKey) answer.masterKeys.set(userId, keys.masterKey)
        if (keys.selfSigningKey) answer.selfSigningKeys.set(userId, keys.selfSigningKey)
      }
      const signed = await signaturesBy(store.db, requester, [...answer.masterKeys.keys()])
      for (const signatures of signed) addSignatures(answer.masterKeys, requester, signatures)
      return answerBytes(answer, failures)
    },
    async queryForServer(asked) {
      const answer = emptyAnswer()
      await addLocal(answer, asked, undefined)
      return answerBytes(answer, undefined)
    },
  }
}

const NOTHING_REMOTE = {
  users: new Map<never, never>(),
  failures: new Map<ServerName, { status: number; message: string }>(),
}

const emptyAnswer = (): Answer => ({
  deviceKeys: new Map(),
  masterKeys: new Map(),
  selfSigningKeys: new Map(),
  userSigningKeys: new Map(),
})

/** Where a cross-signing key goes: a user-signing key is for its owner's eyes only. */
function placeOf(answer: Answer, { usage, user_id }: CrossSigningKeyRow, requester: UserId | undefined) {
  if (usage === 'master') return answer.masterKeys
  if (usage === 'self_signing') return answer.selfSigningKeys
  return user_id === requester ? answer.userSigningKeys : undefined
}

/** Devices with keys, each with `unsigned`, where its name is if it has one. */
function deviceKeysText(devices: readonly LocalDevice[]): string {
  const members = devices.flatMap(({ device_id, device_keys, display_name }) => {
    if (device_keys === null) return []
    // Keys are kept without `unsigned`, as a non-empty object: it goes in before the closing brace.
    const unsigned = JSON.stringify(display_name === null ? {} : { device_display_name: display_name })
    return [`${JSON.stringify(device_id)}:${device_keys.slice(0, -1)},"unsigned":${unsigned}}`]
  })
  return `{${members.join(',')}}`
}

function onlyDevices(deviceKeys: Buffer, wanted: readonly string[]): string | Buffer {
  if (wanted.length === 0) return deviceKeys
  const chosen = Object.entries(JSON.parse(deviceKeys.toString())).filter(([deviceId]) => wanted.includes(deviceId))
  return JSON.stringify(Object.fromEntries(chosen))
}

/** Adds what the requester signed to another user's master key, if it is still the key that was signed. */
function addSignatures(masterKeys: Map<UserId, string>, signer: UserId, row: ForeignSignatures): void {
  const key = JSON.parse(masterKeys.get(row.user_id)!)
  if (!isObject(key.keys) || !Object.values(key.keys).includes(row.target)) return
  const signatures = isObject(key.signatures) ? key.signatures : {}
  const own = isObject(signatures[signer]) ? signatures[signer] : {}
  const merged = { ...signatures, [signer]: { ...own, ...JSON.parse(row.signatures) } }
  masterKeys.set(row.user_id, JSON.stringify({ ...key, signatures: merged }))
}

function answerBytes(answer: Answer, failures: ReadonlyMap<string, object> | undefined): Buffer {
  const parts: [string, ReadonlyMap<string, string | Buffer>][] = [
    ['device_keys', answer.deviceKeys],
    ['master_keys', answer.masterKeys],
    ['self_signing_keys', answer.selfSigningKeys],
  ]
  if (answer.userSigningKeys.size > 0) parts.push(['user_signing_keys', answer.userSigningKeys])
  if (failures)
    parts.push(['failures', new Map([...failures].map(([name, failure]) => [name, JSON.stringify(failure)]))])
  const bytes: Buffer[] = []
  // Short texts are put together before they become bytes.
  let text = '{'
  parts.forEach(([part, members], index) => {
    text += `${index > 0 ? ',' : ''}"${part}":{`
    let comma = ''
    for (const [name, member] of members) {
      text += `${comma}${JSON.stringify(name)}:`
      comma = ','
      if (typeof member === 'string') text += member
      else {
        bytes.push(Buffer.from(text), member)
        text = ''
      }
    }
    text += '}'
  })
  return Buffer.concat([...bytes, Buffer.from(`${text}}`)])
}

/** Reads `{userId: [deviceId]}` of a request. @returns `undefined` if the shape is wrong */
export function readKeyQuery(body: unknown): Map<UserId, string[]> | undefined {
  if (!isObject(body)) return undefined
  const asked = new Map<UserId, string[]>()
  for (const [userId, devices] of Object.entries(body)) {
    if (!isUserId(userId)) return undefined
    // Older clients send an empty object, or nothing, for "all".
    const all = devices === null || (isObject(devices) && Object.keys(devices).length === 0)
    if (!all && !Array.isArray(devices)) return undefined
    const wanted = Array.isArray(devices) ? devices : []
    if (!wanted.every((deviceId) => typeof deviceId === 'string')) return undefined
    asked.set(userId, wanted)
  }
  return asked.size <= MAX_USERS ? asked : undefined
}
