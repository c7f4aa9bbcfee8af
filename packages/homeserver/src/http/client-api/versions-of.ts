/**
 * The paths that an endpoint of the client-server API is served under: today's version, and the one before it, whose
 * endpoints are the same and which older clients still use.
 * @param path such as `/login`
 */
export function clientPaths(path: string): string[] {
  return [`/_matrix/client/v3${path}`, `/_matrix/client/r0${path}`]
}
