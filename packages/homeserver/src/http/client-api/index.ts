import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { requireAccessToken } from '../client-auth.ts'
import { accountData } from './account-data.ts'
import { capabilities } from './capabilities.ts'
import { filter } from './filter.ts'
import { login } from './login.ts'
import { logout } from './logout.ts'
import { profile } from './profile.ts'
import { pushRules } from './pushrules.ts'
import { registration } from './registration.ts'
import { versions } from './versions.ts'
import { wellKnown } from './wellknown.ts'
import { whoami } from './whoami.ts'

/** The client-server API: one file per module of the specification. */
export function clientApi(app: App, ctx: Context): void {
  requireAccessToken(app, ctx)
  versions(app, ctx)
  wellKnown(app, ctx)
  registration(app, ctx)
  login(app, ctx)
  logout(app, ctx)
  whoami(app, ctx)
  capabilities(app, ctx)
  filter(app, ctx)
  profile(app, ctx)
  accountData(app, ctx)
  pushRules(app, ctx)
}
