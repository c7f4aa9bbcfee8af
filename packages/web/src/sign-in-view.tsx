import { type FormEvent, useState } from 'react'
import { ApiError } from './api/homeserver.ts'
import { type Session, signIn } from './api/session.ts'
import { Icon } from './design/icons.tsx'
import { lengthInWords } from './design/words.ts'

type Props = {
  /** Why the last session has ended. */
  notice: string | undefined
  onSignedIn(session: Session): void
  onEnd(reason: string): void
}

export function SignInView({ notice, onSignedIn, onEnd }: Props) {
  const [problem, setProblem] = useState<string>()
  const [busy, setBusy] = useState(false)

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    setBusy(true)
    setProblem(undefined)
    try {
      onSignedIn(await signIn(String(fields.get('user')), String(fields.get('password')), onEnd))
    } catch (error) {
      setProblem(inWords(error))
      setBusy(false)
    }
  }

  return (
    <main className="sign-in">
      <h1>
        <Icon name="tree" /> Evergreen
      </h1>
      <p>See whether your homeserver knows the devices of the people you write to, and make it look again.</p>
      <form onSubmit={submit} aria-label="Sign in">
        <label>
          User name
          <input name="user" autoComplete="username" autoCapitalize="none" spellCheck={false} required />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <p role="alert" className="problem">
          {problem ?? notice}
        </p>
        <button type="submit" disabled={busy}>
          Sign in
        </button>
      </form>
      <p className="fine">
        With your account on this homeserver. The page stays signed in for as long as this tab is open, and talks to
        nobody but the homeserver.
      </p>
    </main>
  )
}

function inWords(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Something went wrong; please try again.'
  switch (error.errcode) {
    case 'M_FORBIDDEN':
      return 'The user name or the password is not right.'
    case 'M_LIMIT_EXCEEDED':
      return `Too many attempts. Please try again in ${lengthInWords(error.retryAfterMs ?? 60_000)}.`
    default:
      return error.message
  }
}
