import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { requireSignature } from '../federation-auth.ts'
import { keysServer } from './keys-server.ts'
import { transactions } from './transactions.ts'
import { userDevices } from './user-devices.ts'
import { userKeys } from './user-keys.ts'
import { version } from './version.ts'

/** The server-server API: one file per module of the specification. */
export function federationApi(app: App, ctx: Context): void {
  requireSignature(app, ctx)
  version(app)
  keysServer(app, ctx)
  transactions(app, ctx)
  userDevices(app, ctx)
  userKeys(app, ctx)
}
