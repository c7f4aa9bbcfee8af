import { HTTPError, type IRequestOpts, type MatrixClient, MatrixError, Method } from 'matrix-js-sdk'

/** Where a request goes: `prefix` and `path` as `MatrixHttpApi.authedRequest` takes them. */
type Route = { method: Method; prefix: string; path: string }

const MSC2638 = 'org.matrix.msc2638'
/** What the proposal was called before it had a number. */
const MSCXXXX = 'org.matrix.mscXXXX'

const UNSTABLE = `/_matrix/client/unstable/${MSC2638}`

/**
 * The routes that a homeserver may have, the documented one first, by what it lists in `unstable_features`.
 * A homeserver that lists nothing has none: the same paths may mean something else there.
 */
export async function refreshRoutes(client: MatrixClient, userId: string): Promise<Route[]> {
  const devices = `/user/${encodeURIComponent(userId)}/devices`
  const routes: Route[] = []
  if (await client.doesServerSupportUnstableFeature(MSC2638)) {
    routes.push(
      { method: Method.Post, prefix: UNSTABLE, path: `${devices}/refresh` },
      { method: Method.Post, prefix: '/_matrix/client/v3', path: `${devices}/refresh` },
      { method: Method.Post, prefix: '/_matrix/client/r0', path: `${devices}/refresh` },
      { method: Method.Get, prefix: `/_matrix/unstable/${MSC2638}`, path: devices },
    )
  }
  if (await client.doesServerSupportUnstableFeature(MSCXXXX)) {
    routes.push({ method: Method.Get, prefix: `/_matrix/unstable/${MSCXXXX}`, path: devices })
  }
  return routes
}

/** Where the state of a list is told, which only Evergreen does. */
export function stateRoute(userId: string): Route {
  return { method: Method.Get, prefix: UNSTABLE, path: `/user/${encodeURIComponent(userId)}/devices/refresh` }
}

/** @throws {HTTPError} for an error answer, `ConnectionError` if there was none */
export function request<T>(client: MatrixClient, route: Route, abortSignal: AbortSignal): Promise<T> {
  const { method, prefix, path } = route
  const body = method === Method.Post ? {} : undefined
  // The type wants a member of the DOM's `RequestInit` where there is no DOM.
  const opts = { prefix, abortSignal } as IRequestOpts
  return client.http.authedRequest<T>(method, path, undefined, body, opts)
}

/** Whether an error says that there is no such endpoint, rather than what became of the request. */
export function isUnrecognized(error: unknown): boolean {
  if (!(error instanceof HTTPError)) return false
  if (error.httpStatus === 405) return true
  return error.httpStatus === 404 && !(error instanceof MatrixError && error.errcode !== 'M_UNRECOGNIZED')
}
