import { badJson, forbidden, missingParam } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Attempts } from './attempts.ts'
import { accountNamed } from './identifiers.ts'
import { type CheckPassword, wrongPassword } from './login.ts'
import type { RegistrationTokens } from './registration-tokens.ts'
import type { Stage, StageCheck } from './uia.ts'

/** The stages that clients can complete. Client-server API, "Authentication types". */
export function createStages(deps: {
  serverName: ServerName
  checkPassword: CheckPassword
  tokens: RegistrationTokens
  attempts: Attempts
}): Record<Stage, StageCheck> {
  const { serverName, checkPassword, tokens, attempts } = deps
  return {
    'm.login.dummy': async () => '',

    'm.login.password': async (auth, { userId, ip }) => {
      const password = textIn(auth, 'password')
      const named = accountNamed(auth, serverName)
      // Whoever stole an access token may know the password of another account: their own.
      if (userId !== undefined && named !== userId) throw forbidden('Only the owner of the account can confirm this')
      const proven = await checkPassword(named, password, ip)
      return proven ? proven.userId : failureOf(wrongPassword())
    },

    'm.login.registration_token': async (auth, { ip }) => {
      const token = textIn(auth, 'token')
      await attempts.check(ip)
      if (await tokens.isUsable(token)) return token
      await attempts.failed(ip)
      return { errcode: 'M_UNAUTHORIZED', error: 'Invalid registration token' }
    },
  }
}

function textIn(auth: Record<string, unknown>, name: string): string {
  const value = auth[name]
  if (value === undefined) throw missingParam(`auth.${name} is missing`)
  if (typeof value !== 'string') throw badJson(`auth.${name} is not a string`)
  return value
}

const failureOf = ({ errcode, message }: { errcode: string; message: string }) => ({ errcode, error: message })
