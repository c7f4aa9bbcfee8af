import type { Session } from '../../users/sessions.ts'

/** A session as `/login`, `/register` and `/refresh` answer it. */
export function sessionFields(session: Session): Record<string, unknown> {
  return { device_id: session.deviceId, ...tokenFields(session) }
}

/** Its tokens alone. Client-server API, "Refreshing access tokens". */
export function tokenFields({ accessToken, refreshToken, expiresInMs }: Session): Record<string, unknown> {
  return {
    access_token: accessToken,
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken, expires_in_ms: expiresInMs }),
  }
}
