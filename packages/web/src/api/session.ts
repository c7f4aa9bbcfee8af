import { ApiError, ask } from './homeserver.ts'

const CLIENT = '/_matrix/client/v3'
/** For as long as the tab is open, and no longer. */
const STORED_AS = 'evergreen.session'

/** Who is signed in, and the tokens that say so. */
type Account = { userId: string; deviceId: string; accessToken: string; refreshToken: string | undefined }
type LoginAnswer = { user_id: string; device_id: string; access_token: string; refresh_token?: string }
type Tokens = { access_token: string; refresh_token?: string }

/** A signed-in account. */
export type Session = {
  userId: string
  isAdmin: boolean
  get<Answer>(path: string, signal?: AbortSignal): Promise<Answer>
  post<Answer>(path: string, body?: unknown, signal?: AbortSignal): Promise<Answer>
  /** An access token that is good now, for what is no simple request. */
  withToken<Answer>(task: (token: string) => Promise<Answer>): Promise<Answer>
  /** Ends the session at the homeserver too. */
  signOut(): Promise<void>
}

/** @param onEnd called when the homeserver has ended the session */
export async function signIn(user: string, password: string, onEnd: (reason: string) => void): Promise<Session> {
  const answer = await ask<LoginAnswer>('POST', `${CLIENT}/login`, {
    body: {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: user.trim() },
      password,
      initial_device_display_name: 'Evergreen page',
      refresh_token: true,
    },
  })
  const account = {
    userId: answer.user_id,
    deviceId: answer.device_id,
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
  }
  return open(account, onEnd)
}

/** The session of before this page was loaded again. */
export async function resume(onEnd: (reason: string) => void): Promise<Session | undefined> {
  const stored = sessionStorage.getItem(STORED_AS)
  if (stored === null) return undefined
  try {
    return await open(JSON.parse(stored) as Account, onEnd)
  } catch (error) {
    // A homeserver that is away for a moment has not ended the session.
    if (!(error instanceof ApiError) || error.status === 0) throw error
    sessionStorage.removeItem(STORED_AS)
    return undefined
  }
}

const isRefused = (error: unknown): error is ApiError => error instanceof ApiError && error.status === 401

async function open(first: Account, onEnd: (reason: string) => void): Promise<Session> {
  let account = first
  let renewing: Promise<void> | undefined
  const keep = () => sessionStorage.setItem(STORED_AS, JSON.stringify(account))
  keep()

  async function renew(): Promise<void> {
    const tokens = await ask<Tokens>('POST', `${CLIENT}/refresh`, { body: { refresh_token: account.refreshToken } })
    account = {
      ...account,
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token ?? account.refreshToken,
    }
    keep()
  }

  async function withToken<Answer>(task: (token: string) => Promise<Answer>): Promise<Answer> {
    const token = account.accessToken
    try {
      return await task(token)
    } catch (error) {
      if (!isRefused(error)) throw error
      if (!error.softLogout || account.refreshToken === undefined || error.errcode !== 'M_UNKNOWN_TOKEN')
        return end(error)
      try {
        // Several requests may find out at the same time; a token is renewed once.
        if (account.accessToken === token) {
          renewing ??= renew().finally(() => {
            renewing = undefined
          })
        }
        await renewing
        return await task(account.accessToken)
      } catch (again) {
        // Neither can the token be renewed for ever.
        if (isRefused(again)) return end(again)
        throw again
      }
    }
  }

  function end(error: ApiError): never {
    sessionStorage.removeItem(STORED_AS)
    onEnd(error.errcode === 'M_USER_LOCKED' ? error.message : 'Your session has ended. Please sign in again.')
    throw error
  }

  const get = <Answer>(path: string, signal?: AbortSignal) =>
    withToken((token) => ask<Answer>('GET', path, { token, ...(signal ? { signal } : {}) }))
  const { capabilities } = await get<{ capabilities: Record<string, unknown> }>(`${CLIENT}/capabilities`)
  return {
    userId: account.userId,
    // Told to admins alone.
    isAdmin: 'm.account_moderation' in capabilities,
    get,
    post: (path, body, signal) =>
      withToken((token) => ask('POST', path, { token, body: body ?? {}, ...(signal ? { signal } : {}) })),
    withToken,
    async signOut() {
      sessionStorage.removeItem(STORED_AS)
      await ask('POST', `${CLIENT}/logout`, { token: account.accessToken, body: {} }).catch(async (error: unknown) => {
        if (!(error instanceof ApiError) || !error.softLogout) return
        await renew()
        sessionStorage.removeItem(STORED_AS)
        await ask('POST', `${CLIENT}/logout`, { token: account.accessToken, body: {} })
      })
    },
  }
}
