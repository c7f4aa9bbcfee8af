import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { OperatorApi } from './connection.ts'

/** What `users.create` answers. */
type Created = { kind: 'created'; userId: string } | { kind: 'invalid name' | 'name in use' | 'invalid password' }

/** `evergreen user add NAME [--admin]`. @returns the exit code */
export async function userAdd(api: OperatorApi, localpart: string, admin: boolean): Promise<number> {
  const password = await readPassword()
  if (password === undefined) {
    process.stderr.write('the two passwords differ\n')
    return 1
  }
  const created = await api.call<Created>('POST', '/users', { localpart, password, admin })
  if (created.kind !== 'created') {
    process.stderr.write(`${created.kind}: ${localpart} was not added\n`)
    return 1
  }
  process.stdout.write(`added ${created.userId}${admin ? ', an admin' : ''}\n`)
  return 0
}

/** Asks twice on a terminal, without showing what is typed; else reads the first line of standard input. */
async function readPassword(): Promise<string | undefined> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).split('\n', 1)[0]!.replace(/\r$/, '')
  const hidden = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: hidden, terminal: true })
  const ask = async (question: string) => {
    process.stderr.write(question)
    const answer = await terminal.question('')
    process.stderr.write('\n')
    return answer
  }
  const [first, second] = [await ask('Password: '), await ask('Once more: ')]
  terminal.close()
  return first === second ? first : undefined
}
