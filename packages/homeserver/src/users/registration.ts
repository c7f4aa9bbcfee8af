import type { Settings } from '../config/settings.ts'
import { forbidden, invalidParam, MatrixError, missingParam } from '../matrix/errors.ts'
import { localpartOf, type UserId } from '../matrix/ids.ts'
import { isObject, type Json } from '../matrix/json.ts'
import type { Random } from '../platform/random.ts'
import { findAccount } from '../storage/accounts.ts'
import type { Store, Tx } from '../storage/store.ts'
import { lockUiaState, setUiaState } from '../storage/uia-sessions.ts'
import type { Accounts } from './accounts.ts'
import type { Attempts } from './attempts.ts'
import { newUserId } from './identifiers.ts'
import { deactivated } from './login.ts'
import { isPossiblePassword, type Passwords } from './passwords.ts'
import type { RegistrationTokens } from './registration-tokens.ts'
import type { Session, Sessions } from './sessions.ts'
import { type Challenge, type Flow, proofOf, type StageFailure, type Uia, type UiaRequest } from './uia.ts'

/** What a client asks for; every part may also have come with an earlier request of the same session. */
type RegistrationWish = {
  username?: string | undefined
  password?: string | undefined
  deviceId?: string | undefined
  displayName?: string | undefined
  inhibitLogin?: boolean | undefined
  renewable?: boolean | undefined
  /** The guest whose account it is to become, as their access token has proved. */
  guest?: UserId | undefined
}

export type Registered = { kind: 'registered'; userId: UserId; session: Session | undefined }

export type Registration = {
  /**
   * `POST /register` for a user, or for a guest who becomes one. The same session again after success logs the same account in again, since the
   * first answer may have been lost.
   * @throws `M_FORBIDDEN` if nobody may register; `M_USER_IN_USE`, `M_INVALID_USERNAME`, `M_MISSING_PARAM`
   */
  register(
    wish: RegistrationWish,
    auth: unknown,
    ip: string,
  ): Promise<Registered | { kind: 'challenge'; challenge: Challenge }>
  /** `POST /register` for a guest. @throws `M_GUEST_ACCESS_FORBIDDEN` where the settings let none in */
  registerGuest(displayName: string | undefined): Promise<{ userId: UserId; session: Session }>
  /**
   * `GET /register/available`: returns if the name is free.
   * @throws `M_FORBIDDEN`, `M_USER_IN_USE`, `M_INVALID_USERNAME`
   */
  requireAvailable(username: string): Promise<void>
  /** `GET /register/m.login.registration_token/validity` @throws `M_FORBIDDEN` if nobody may register */
  isRegistrationTokenValid(token: string, ip: string): Promise<boolean>
}

/** What a session remembers: the wish so far, with the password hashed, and then who was registered. */
type Remembered = Omit<RegistrationWish, 'password'> & { passwordHash?: string | undefined; userId?: UserId }

const FLOWS: Record<'token' | 'open', readonly Flow[]> = {
  token: [['m.login.registration_token']],
  open: [['m.login.dummy']],
}

export function createRegistration(deps: {
  store: Store
  random: Random
  settings: Pick<Settings, 'serverName' | 'registration' | 'allowGuests'>
  accounts: Accounts
  passwords: Passwords
  attempts: Attempts
  tokens: RegistrationTokens
  uia: Uia
  sessions: Sessions
}): Registration {
  const { store, random, settings, accounts, passwords, attempts, tokens, uia, sessions } = deps

  function flows(): readonly Flow[] {
    if (settings.registration === 'closed') throw forbidden('Registration is closed')
    return FLOWS[settings.registration]
  }

  async function hashed(password: string | undefined): Promise<string | undefined> {
    if (password === undefined) return undefined
    if (!isPossiblePassword(password)) throw invalidParam('The password is empty or too long')
    return passwords.hash(password)
  }

  async function logIn(tx: Tx, userId: UserId, wish: Remembered): Promise<Registered> {
    if (wish.inhibitLogin) return { kind: 'registered', userId, session: undefined }
    const { deviceId, displayName, renewable } = wish
    const device = { deviceId, displayName, renewable }
    return { kind: 'registered', userId, session: await sessions.createSession(tx, userId, device) }
  }

  /** Answers a request whose session has registered somebody before. */
  async function logInAgain(tx: Tx, userId: UserId, wish: Remembered): Promise<Registered> {
    const account = await findAccount(tx.db, userId)
    if (account?.deactivated_at !== null) throw deactivated()
    return logIn(tx, userId, wish)
  }

  /** @returns `undefined` if any name will do */
  async function nameFor({ username, guest }: Remembered): Promise<UserId | undefined> {
    if (guest === undefined) return username === undefined ? undefined : accounts.freeUserId(username)
    if (username === localpartOf(guest)) return guest
    throw new MatrixError(400, 'M_INVALID_USERNAME', 'A guest who becomes a user keeps the name')
  }

  /** The account, the token's use and the session's memory of it: all or nothing. */
  async function makeAccount(
    userId: UserId,
    wish: Remembered & { passwordHash: string },
    proof: { token: string | undefined; sessionId: string | undefined },
  ): Promise<Registered | StageFailure> {
    return store.transaction(async (tx) => {
      const state = proof.sessionId && (await lockUiaState(tx.db, proof.sessionId))
      const before = state ? rememberedIn(JSON.parse(state)) : {}
      if (before.userId) return logInAgain(tx, before.userId, before)
      const grant = proof.token === undefined ? { makesAdmin: false } : await tokens.use(tx, proof.token)
      if (!grant) return { errcode: 'M_UNAUTHORIZED', error: 'The registration token was used up meanwhile' }
      if (wish.guest) await accounts.upgrade(tx, userId, wish.passwordHash)
      else await accounts.add(tx, { userId, passwordHash: wish.passwordHash, admin: grant.makesAdmin })
      const registered = await logIn(tx, userId, wish)
      if (proof.sessionId) {
        const deviceId = registered.session?.deviceId
        const { displayName, inhibitLogin, renewable } = wish
        const remembered = { userId, deviceId, displayName, inhibitLogin, renewable }
        await setUiaState(tx.db, proof.sessionId, JSON.stringify(remembered))
      }
      return registered
    })
  }

  return {
    async register({ password, ...given }, auth, ip) {
      const request: UiaRequest = { purpose: 'POST /register', flows: flows(), userId: undefined, ip, auth }
      const session = await uia.session(request)
      const earlier = rememberedIn(session.state)
      const { userId: registered } = earlier
      if (registered) return store.transaction((tx) => logInAgain(tx, registered, earlier))

      const wish: Remembered = { ...earlier, ...defined(given) }
      // Before any stage: a person is to learn first that the name is taken.
      const named = await nameFor(wish)
      const progress = await uia.advance(session, request)
      wish.passwordHash = (await hashed(password)) ?? earlier.passwordHash
      if (!progress.complete) {
        const challenge = await uia.challenge(progress.session, request, progress.failure, defined(wish))
        return { kind: 'challenge', challenge }
      }
      const { passwordHash } = wish
      if (passwordHash === undefined) throw missingParam('A password is missing')
      const outcome = await makeAccount(
        named ?? generatedUserId(),
        { ...wish, passwordHash },
        {
          token: proofOf(progress.session, 'm.login.registration_token'),
          sessionId: session.stored ? session.id : undefined,
        },
      )
      if ('kind' in outcome) return outcome
      return { kind: 'challenge', challenge: await uia.challenge(session, request, outcome) }
    },

    async registerGuest(displayName) {
      if (!settings.allowGuests) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot register here')
      const userId = generatedUserId()
      return store.transaction(async (tx) => {
        await accounts.add(tx, { userId, passwordHash: null, admin: false, guest: true })
        return { userId, session: await sessions.createSession(tx, userId, { deviceId: undefined, displayName }) }
      })
    },

    async requireAvailable(username) {
      flows()
      await accounts.freeUserId(username)
    },

    async isRegistrationTokenValid(token, ip) {
      flows()
      await attempts.check(ip)
      const valid = await tokens.isUsable(token)
      if (!valid) await attempts.failed(ip)
      return valid
    },
  }

  function generatedUserId(): UserId {
    return newUserId(random.bytes(8).toString('hex'), settings.serverName)!
  }
}

/** Our own words, read back from a session. */
function rememberedIn(state: Json): Remembered {
  return isObject(state) ? (state as Remembered) : {}
}

function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
