import { badJson, forbidden, invalidParam, MatrixError, missingParam, notFound } from '../matrix/errors.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { isObject } from '../matrix/json.ts'
import { findAccount } from '../storage/accounts.ts'
import { profileFields, putProfileField, removeProfileField } from '../storage/profiles.ts'
import type { Store } from '../storage/store.ts'

/** A profile: its fields by name, with values of any JSON type. */
type Profile = ReadonlyMap<string, unknown>

/** Asks another server for a profile. @returns `undefined` if there is none to be had */
export type RemoteProfile = (userId: UserId) => Promise<Profile | undefined>

export type Profiles = {
  /** `GET /profile/{userId}` @throws `M_NOT_FOUND` if there is no such user */
  profile(userId: UserId): Promise<Profile>
  /** `GET /profile/{userId}/{keyName}` @throws `M_NOT_FOUND` if there is no such field or user */
  profileField(userId: UserId, name: string): Promise<unknown>
  /**
   * `PUT /profile/{userId}/{keyName}`
   * @param body the request's: an object with a member of that name
   * @throws `M_FORBIDDEN` for another's, `M_KEY_TOO_LARGE`, `M_INVALID_PARAM`, `M_MISSING_PARAM`, `M_BAD_JSON`,
   * `M_PROFILE_TOO_LARGE`
   */
  setProfileField(requester: UserId, userId: UserId, name: string, body: unknown): Promise<void>
  /** What goes into the membership events of one of our users; nothing for others. */
  publicProfile(userId: UserId): Promise<{ displayname?: string; avatar_url?: string }>
  /** `DELETE /profile/{userId}/{keyName}` @throws `M_FORBIDDEN`, `M_KEY_TOO_LARGE`, `M_INVALID_PARAM` */
  removeProfileField(requester: UserId, userId: UserId, name: string): Promise<void>
}

/** A profile has to be smaller than this, in bytes of JSON. */
const MAX_PROFILE_BYTES = 64 * 1024
/** The longest name of a field, in bytes. */
const MAX_NAME_BYTES = 255
/** `displayname`, `avatar_url`, or a name with a namespace. Appendices, "Common Namespaced Identifier Grammar". */
const NAME = /^(?:displayname|avatar_url|[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)+)$/
/** Fields that are text, with the most characters that they may have: both go into every membership event. */
const TEXTS = new Map([
  ['displayname', 256],
  ['avatar_url', 1000],
  ['m.tz', 255],
])

/** Profiles of our users, and through `remoteProfile` of others. Client-server API, "Profiles". */
export function createProfiles({
  store,
  serverName,
  remoteProfile,
  nameChanged,
}: {
  store: Store
  serverName: ServerName
  remoteProfile: RemoteProfile
  /** Called after a change of what goes into the membership events of a user. */
  nameChanged(userId: UserId): Promise<void>
}): Profiles {
  async function profile(userId: UserId): Promise<Profile> {
    const found = serverNameOf(userId) === serverName ? await localProfile(userId) : await remoteProfile(userId)
    if (!found) throw notFound('No such user')
    return found
  }

  async function remove(userId: UserId, name: string): Promise<void> {
    await removeProfileField(store.db, userId, name)
    if (isPublic(name)) await nameChanged(userId)
  }

  async function localProfile(userId: UserId): Promise<Profile | undefined> {
    const [account, fields] = await Promise.all([findAccount(store.db, userId), profileFields(store.db, userId)])
    return account && new Map(fields.map(({ name, value }) => [name, JSON.parse(value)]))
  }

  return {
    profile,

    async profileField(userId, name) {
      checkName(name)
      const value = (await profile(userId)).get(name)
      if (value === undefined) throw notFound('The profile has no such field')
      return value
    },

    async setProfileField(requester, userId, name, body) {
      checkOwner(requester, userId)
      checkName(name)
      const value = valueIn(body, name)
      // How clients have always taken their name or picture away.
      if (value === '' && TEXTS.has(name)) return remove(userId, name)
      const text = JSON.stringify(value)
      await store.transaction(async (tx) => {
        const others = (await profileFields(tx.db, userId)).filter((field) => field.name !== name)
        if (sizeOf([...others, { name, value: text }]) >= MAX_PROFILE_BYTES) throw tooLarge()
        await putProfileField(tx.db, userId, { name, value: text })
      })
      if (isPublic(name)) await nameChanged(userId)
    },

    async publicProfile(userId) {
      if (serverNameOf(userId) !== serverName) return {}
      const fields = await profileFields(store.db, userId)
      return Object.fromEntries(
        fields.filter(({ name }) => isPublic(name)).map(({ name, value }) => [name, JSON.parse(value)]),
      )
    },

    async removeProfileField(requester, userId, name) {
      checkOwner(requester, userId)
      checkName(name)
      await remove(userId, name)
    },
  }
}

/** Whether a field goes into the membership events of its user. */
const isPublic = (name: string) => name === 'displayname' || name === 'avatar_url'

function checkOwner(requester: UserId, userId: UserId): void {
  if (requester !== userId) throw forbidden('This is the profile of somebody else')
}

function checkName(name: string): void {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new MatrixError(400, 'M_KEY_TOO_LARGE', `The name of a field has at most ${MAX_NAME_BYTES} bytes`)
  }
  if (!NAME.test(name)) throw invalidParam('This is not the name of a profile field')
}

function valueIn(body: unknown, name: string): unknown {
  if (!isObject(body) || !Object.hasOwn(body, name)) throw missingParam(`${name} is missing`)
  const value = body[name]
  const longest = TEXTS.get(name)
  if (longest === undefined) return value
  if (typeof value !== 'string') throw badJson(`${name} is not a string`)
  if (value.length > longest) throw invalidParam(`${name} is longer than ${longest} characters`)
  return value
}

/** Bytes of the whole profile as JSON. */
function sizeOf(fields: { name: string; value: string }[]): number {
  const members = fields.map(({ name, value }) => `${JSON.stringify(name)}:${value}`)
  return Buffer.byteLength(`{${members.join(',')}}`)
}

const tooLarge = () => new MatrixError(400, 'M_PROFILE_TOO_LARGE', 'A profile has to stay below 64 KiB')
