import type { Settings } from '../config/settings.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { Store, Tx } from '../storage/store.ts'
import { type AccountChanges, createAccountChanges } from './account-changes.ts'
import { type AccountData, createAccountData } from './account-data.ts'
import { type Accounts, createAccounts } from './accounts.ts'
import { createAttempts } from './attempts.ts'
import { createFilters, type Filters } from './filters.ts'
import { createLogin, createPasswordCheck, type Login } from './login.ts'
import { createModeration, type Moderation } from './moderation.ts'
import { createNotifications, type Notifications } from './notifications.ts'
import { createPasswords } from './passwords.ts'
import { createProfiles, type Profiles, type RemoteProfile } from './profiles.ts'
import { createPushRules, type PushRules } from './push-rules.ts'
import { createRegistration, type Registration } from './registration.ts'
import { createRegistrationTokens, type RegistrationTokens } from './registration-tokens.ts'
import type { Sessions } from './sessions.ts'
import { createSharedSecretRegistration, type SharedSecretRegistration } from './shared-secret-registration.ts'
import { createShortLivedTokens, type ShortLivedTokens } from './short-lived-tokens.ts'
import { createSuccessorRooms, type SuccessorRooms } from './successor-rooms.ts'
import { createTags, type Tags } from './tags.ts'
import { createUia, type Uia } from './uia.ts'
import { createStages } from './uia-stages.ts'

/** Accounts, and what belongs to one: profile, own data, filters, push rules. */
export type Users = Pick<Accounts, 'exists' | 'create'> &
  Registration &
  Login &
  SharedSecretRegistration &
  AccountChanges &
  Pick<ShortLivedTokens, 'newLoginToken' | 'newOpenIdToken' | 'openIdUser'> &
  Moderation &
  Profiles &
  AccountData &
  SuccessorRooms &
  Filters & {
    pushRules: PushRules
    notifications: Notifications
    tags: Tags
    /** Lets a logged-in user confirm a request. */
    confirm: Uia['confirm']
    /** The token for the first account; see `RegistrationTokens`. */
    ensureFirstToken: RegistrationTokens['ensureFirst']
  }

export type UsersDependencies = {
  store: Store
  clock: Clock
  random: Random
  settings: Pick<
    Settings,
    | 'serverName'
    | 'registration'
    | 'registrationToken'
    | 'registrationSharedSecret'
    | 'allowGuests'
    | 'rateLimits'
    | 'passwordHash'
  >
  /** Access tokens and devices. */
  sessions: Sessions
  /** Forgets the keys that only this user could use, when the account is closed. */
  forgetKeys(tx: Tx, userId: UserId): Promise<void>
  /** Called after a change of what a user is called. */
  nameChanged?(userId: UserId): Promise<void>
  /** Has a user leave all rooms, when the account is closed. */
  leaveRooms?(tx: Tx, userId: UserId): Promise<void>
  /** Without it, users of other servers have no profile here. */
  remoteProfile?: RemoteProfile
}

export function createUsers(dependencies: UsersDependencies): Users {
  const { store, clock, random, settings, sessions, forgetKeys } = dependencies
  const { serverName } = settings
  const {
    remoteProfile = async () => undefined,
    nameChanged = async () => {},
    leaveRooms = async () => {},
  } = dependencies

  const passwords = createPasswords(random, settings.passwordHash)
  const attempts = createAttempts(store, clock, settings.rateLimits)
  const accounts = createAccounts(store, clock, serverName, passwords)
  const tokens = createRegistrationTokens(store, clock, random, settings)
  const checkPassword = createPasswordCheck(store, passwords, attempts)
  const uia = createUia({
    store,
    clock,
    random,
    checks: createStages({ serverName, checkPassword, tokens, attempts }),
  })
  const pushRules = createPushRules(store)
  const { takeLoginToken, ...shortLivedTokens } = createShortLivedTokens(store, clock, random)
  const secret = settings.registrationSharedSecret

  return {
    exists: accounts.exists,
    create: accounts.create,
    ...createRegistration({ store, random, settings, accounts, passwords, attempts, tokens, uia, sessions }),
    ...createLogin({ store, serverName, checkPassword, takeLoginToken, attempts, sessions }),
    ...createSharedSecretRegistration({ store, clock, random, secret, accounts, passwords, sessions }),
    ...createAccountChanges({ store, clock, passwords, sessions, forgetKeys, leaveRooms }),
    ...createModeration(store, serverName),
    ...shortLivedTokens,
    ...createProfiles({ store, serverName, remoteProfile, nameChanged }),
    ...createAccountData(store, pushRules),
    ...createSuccessorRooms(),
    ...createFilters(store),
    pushRules,
    notifications: createNotifications(store, clock),
    tags: createTags(store),
    confirm: uia.confirm,
    ensureFirstToken: tokens.ensureFirst,
  }
}
