import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden, MatrixError } from '../../matrix/errors.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const text = Type.String()
const byEmail = { client_secret: text, email: text, send_attempt: Type.Integer() }
const byPhone = { client_secret: text, country: text, phone_number: text, send_attempt: Type.Integer() }
const MEDIA = [
  ['email', { body: Type.Object(byEmail) }],
  ['msisdn', { body: Type.Object(byPhone) }],
] as const
const removalSchema = { body: Type.Object({ medium: text, address: text }) }

/**
 * Client-server API, "Adding Account Administrative Contact Information": accounts here have no third-party identifiers, and
 * nothing is sent to any.
 */
export function thirdPartyIdentifiers(app: App, _ctx: Context): void {
  for (const path of clientPaths('/account/3pid')) {
    app.get(path, async () => ({ threepids: [] }))
    for (const end of ['', '/add', '/bind']) {
      app.post(`${path}${end}`, { schema: { body: Type.Object({}) } }, async () => {
        throw forbidden('Accounts have no third-party identifiers here')
      })
    }
    for (const end of ['/delete', '/unbind']) {
      app.post(`${path}${end}`, { schema: removalSchema }, async () => {
        throw new MatrixError(404, 'M_THREEPID_NOT_FOUND', 'This account has no such identifier')
      })
    }
  }
  for (const [medium, schema] of MEDIA) {
    for (const path of ['/register', '/account/3pid'].flatMap((of) => clientPaths(`${of}/${medium}/requestToken`))) {
      app.post(path, { schema, config: { public: true, costs: 'registration' } }, async () => {
        throw new MatrixError(403, 'M_THREEPID_DENIED', 'Accounts have no third-party identifiers here')
      })
    }
    for (const path of clientPaths(`/account/password/${medium}/requestToken`)) {
      app.post(path, { schema, config: { public: true, costs: 'login' } }, async () => {
        throw new MatrixError(400, 'M_THREEPID_NOT_FOUND', 'No account has this identifier')
      })
    }
  }
}
