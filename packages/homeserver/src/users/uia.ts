import { badJson, forbidden } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { isObject, type Json } from '../matrix/json.ts'
import type { Clock } from '../platform/clock.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import type { Store } from '../storage/store.ts'
import { findUiaSession, putUiaSession, removeUiaSession, trimUiaSessions } from '../storage/uia-sessions.ts'

export type Stage = 'm.login.password' | 'm.login.dummy' | 'm.login.registration_token'
/** The stages that a client goes through, in this order. */
export type Flow = readonly Stage[]

/** One request that needs user-interactive authentication. */
export type UiaRequest = {
  /** Method and path, and the user if there is one: what was authenticated for one purpose is good for no other. */
  purpose: string
  flows: readonly Flow[]
  /** Whose request it is, where somebody is logged in: nobody else can confirm it. */
  userId: UserId | undefined
  ip: string
  /** `auth` of the request's body, unchecked. */
  auth: unknown
}

/** How far a client has come. */
export type UiaSession = {
  id: string
  /** Whether it is in the database: one that completes at once never is. */
  stored: boolean
  createdAt: number
  /** Stages in the order of completion, each with what it leaves for later, such as the token. */
  completed: readonly (readonly [Stage, string])[]
  /** What the request's feature remembers in it. */
  state: Json
}

/** Why a stage was not completed. */
export type StageFailure = { errcode: string; error: string }

/** Checks what a client submits for a stage. @returns what the stage leaves for later, or the failure */
export type StageCheck = (auth: Record<string, unknown>, request: UiaRequest) => Promise<string | StageFailure>

/** Body of the 401. Client-server API, "User-interactive API in the REST API". */
export type Challenge = {
  session: string
  flows: { stages: Flow }[]
  params: Record<string, object>
  completed: Stage[]
} & Partial<StageFailure>

export type Uia = {
  /**
   * The session that a request goes on with, or a new one.
   * @throws `M_BAD_JSON` for a misshapen `auth`, `M_FORBIDDEN` for a session that was begun for another purpose
   */
  session(request: UiaRequest): Promise<UiaSession>
  /** Tries the stage that a request submits, if it submits one. */
  advance(
    session: UiaSession,
    request: UiaRequest,
  ): Promise<{ session: UiaSession; complete: boolean; failure?: StageFailure }>
  /** Keeps a session, with what is to be remembered in it. @returns the answer that tells the client to go on */
  challenge(session: UiaSession, request: UiaRequest, failure?: StageFailure, state?: Json): Promise<Challenge>
  /**
   * All of it, for a request that remembers nothing. A completed session is gone: it confirms one request.
   * @returns the answer that tells the client to go on, or `undefined` once it is through
   */
  confirm(request: UiaRequest): Promise<Challenge | undefined>
}

/** How long a person may take, in milliseconds. */
const SESSION_LIFETIME_MS = 30 * 60_000
/** Sessions that are kept. Those of a single stage do without: who lost one just submits the stage again. */
const MAX_SESSIONS = 10_000

/** User-interactive authentication, kept in the database. Client-server API, "User-Interactive Authentication API". */
export function createUia(deps: {
  store: Store
  clock: Clock
  random: Random
  checks: Record<Stage, StageCheck>
}): Uia {
  const { store, clock, random, checks } = deps

  async function stored(request: UiaRequest): Promise<UiaSession | undefined> {
    const id = authOf(request)?.session
    if (typeof id !== 'string' || !/^[\w-]{1,64}$/.test(id)) return undefined
    const row = await findUiaSession(store.db, id, clock.now() - SESSION_LIFETIME_MS)
    if (!row) return undefined
    if (row.purpose !== request.purpose) throw forbidden('This session was begun for another request')
    const completed: UiaSession['completed'] = JSON.parse(row.completed)
    // Settings may have changed since, and the flows with them.
    if (!request.flows.some((flow) => begins(flow, completed))) return undefined
    return { id, stored: true, createdAt: row.created_at, completed, state: JSON.parse(row.state) }
  }

  const uia: Uia = {
    async session(request) {
      const known = await stored(request)
      return known ?? { id: opaqueId(random), stored: false, createdAt: clock.now(), completed: [], state: null }
    },

    async advance(session, request) {
      const auth = authOf(request)
      const through = (completed: UiaSession['completed']) =>
        request.flows.some((flow) => flow.length === completed.length && begins(flow, completed))
      // A stage that is completed already is not tried again, whatever is submitted for it.
      if (typeof auth?.type !== 'string' || session.completed.some(([stage]) => stage === auth.type)) {
        return { session, complete: through(session.completed) }
      }
      const stage = nextStages(session, request).find((next) => next === auth.type)
      if (!stage) {
        const failure = { errcode: 'M_INVALID_PARAM', error: 'This is not the next stage of any flow' }
        return { session, complete: false, failure }
      }
      const outcome = await checks[stage](auth, request)
      if (typeof outcome !== 'string') return { session, complete: false, failure: outcome }
      const completed = [...session.completed, [stage, outcome] as const]
      return { session: { ...session, completed }, complete: through(completed) }
    },

    async challenge(session, { purpose, flows }, failure, state = session.state) {
      await store.transaction(async (tx) => {
        await trimUiaSessions(tx.db, clock.now() - SESSION_LIFETIME_MS, MAX_SESSIONS)
        await putUiaSession(tx.db, {
          session_id: session.id,
          purpose,
          completed: JSON.stringify(session.completed),
          state: JSON.stringify(state),
          created_at: session.createdAt,
        })
      })
      return {
        session: session.id,
        flows: flows.map((stages) => ({ stages })),
        params: {},
        completed: session.completed.map(([stage]) => stage),
        ...failure,
      }
    },

    async confirm(request) {
      const { session, complete, failure } = await uia.advance(await uia.session(request), request)
      if (!complete) return uia.challenge(session, request, failure)
      if (session.stored) await removeUiaSession(store.db, session.id)
      return undefined
    },
  }
  return uia
}

/** What a stage left when it was completed; `undefined` if it was not. */
export function proofOf(session: UiaSession, stage: Stage): string | undefined {
  return session.completed.find(([completed]) => completed === stage)?.[1]
}

function authOf({ auth }: UiaRequest): Record<string, unknown> | undefined {
  if (auth === undefined || auth === null) return undefined
  if (!isObject(auth)) throw badJson('auth is not an object')
  for (const name of ['type', 'session']) {
    if (auth[name] !== undefined && typeof auth[name] !== 'string') throw badJson(`auth.${name} is not a string`)
  }
  return auth
}

function begins(flow: Flow, completed: UiaSession['completed']): boolean {
  return completed.every(([stage], index) => flow[index] === stage)
}

function nextStages({ completed }: UiaSession, { flows }: UiaRequest): Stage[] {
  return flows
    .filter((flow) => begins(flow, completed))
    .flatMap((flow) => flow.slice(completed.length, completed.length + 1))
}
