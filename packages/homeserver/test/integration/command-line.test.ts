import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

// The command line as a person meets it: real processes, on a data folder of their own. These tests wait for lines that
// a process prints and for its end, never for time.

const COMMAND = fileURLToPath(new URL('../../bin/evergreen.js', import.meta.url))
const top = mkdtempSync(join(tmpdir(), 'evergreen-cli-'))
const children = new Set<ChildProcess>()
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(top, { recursive: true, force: true })
})

type Environment = Record<string, string>
let folders = 0
const newFolder = () => join(top, `data${folders++}`)

function start(args: string[], env: Environment): ChildProcess {
  const { PATH } = process.env
  const child = spawn(COMMAND, args, {
    env: { PATH: `${dirname(process.execPath)}:${PATH}`, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** Runs a command to its end. */
async function run(args: string[], env: Environment, input = ''): Promise<{ code: number; out: string; err: string }> {
  const child = start(args, env)
  child.stdin!.end(input)
  const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'exit')])
  return { code: child.exitCode!, out, err }
}

type Running = { child: ChildProcess; out: () => string; url: string; tls: string }

/** Starts a server on free ports; resolves when it says that it listens. */
async function serve(dataDir: string, env: Environment = {}): Promise<Running> {
  const child = start(['serve'], {
    EVERGREEN_DATA_DIR: dataDir,
    EVERGREEN_LISTEN: '127.0.0.1:0',
    EVERGREEN_TLS_LISTEN: '127.0.0.1:0',
    EVERGREEN_PASSWORD_HASH: 'test',
    ...env,
  })
  let out = ''
  let err = ''
  child.stderr!.on('data', (chunk) => {
    err += chunk
  })
  const listening = await new Promise<{ listen: string; tls: string }>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`it ended: ${err}`)))
    child.stdout!.on('data', (chunk) => {
      out += chunk
      const line = out.split('\n').find((one) => one.includes('"msg":"listening"'))
      if (line) resolve(JSON.parse(line))
    })
  })
  return { child, out: () => out, url: `http://${listening.listen}`, tls: listening.tls }
}

/** Ends a server. @returns its exit code */
async function end({ child }: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  const exit = once(child, 'exit')
  child.kill(signal)
  await exit
  return child.exitCode
}

async function ask(url: string, method = 'GET', body?: object, token?: string) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

const logIn = async (url: string, user: string, password: string) => {
  const identifier = { type: 'm.id.user', user }
  return ask(`${url}/_matrix/client/v3/login`, 'POST', { type: 'm.login.password', identifier, password })
}

const V3 = '/_matrix/client/v3'

describe('evergreen serve', () => {
  test('the life of a server: first start, first admin, its lock, its end', async () => {
    const dataDir = newFolder()
    const server = await serve(dataDir)
    assert.match(server.out(), /the server name is for good/)
    const file = join(dataDir, 'registration-token')
    const token = readFileSync(file, 'utf8').trim()
    // On the terminal, and in no line of the log.
    const saying = server
      .out()
      .split('\n')
      .filter((line) => line.includes(token))
    assert.deepEqual(saying, [`    ${token}`])
    for (const name of ['registration-token', 'signing.key', 'tls.key', 'evergreen.sock']) {
      assert.equal(statSync(join(dataDir, name)).mode & 0o077, 0, name)
    }
    assert.equal((await ask(`${server.url}/health`)).status, 200)

    const auth = { type: 'm.login.registration_token', token }
    const wish = { username: 'alice', password: 'secret of alice', auth }
    const alice = await ask(`${server.url}${V3}/register`, 'POST', wish)
    assert.equal(alice.status, 200)
    assert.equal((await ask(`${server.url}${V3}/register`, 'POST', { ...wish, username: 'bob' })).status, 401)

    const second = await run(['serve'], { EVERGREEN_DATA_DIR: dataDir, EVERGREEN_LISTEN: '127.0.0.1:0' })
    assert.equal(second.code, 1)
    assert.match(second.err, /^the data folder .* is in use by another Evergreen.*\n$/)

    const { body } = await ask(`${server.url}${V3}/sync`, 'GET', undefined, alice.body.access_token)
    const query = `since=${body.next_batch}&timeout=60000`
    const polling = ask(`${server.url}${V3}/sync?${query}`, 'GET', undefined, alice.body.access_token)
    // Once this is answered, the poll before it on the same server is waiting.
    await ask(`${server.url}/health`)
    assert.equal(await end(server), 0)
    assert.equal((await polling).status, 200)
    assert.equal(existsSync(join(dataDir, 'evergreen.sock')), false)

    const other = await run(['serve'], { EVERGREEN_DATA_DIR: dataDir, EVERGREEN_SERVER_NAME: 'other.example' })
    assert.equal(other.code, 1)
    assert.match(other.err, /belong to localhost:8448.*other\.example.*start over/)

    const again = await serve(dataDir)
    assert.doesNotMatch(again.out(), /for good|No accounts yet/)
    assert.equal(existsSync(file), false)
    const whoami = await ask(`${again.url}${V3}/account/whoami`, 'GET', undefined, alice.body.access_token)
    assert.equal(whoami.body.user_id, '@alice:localhost:8448')
    assert.equal(await end(again, 'SIGINT'), 0)
  })

  test('settings that will not do end it with one line', async () => {
    for (const [env, said] of [
      [{ EVERGREEN_LISTEN: 'nowhere' }, /^EVERGREEN_LISTEN: "nowhere" will not do, expected .*\n$/],
      [{ EVERGREEN_TLS_CERT: '/none.pem', EVERGREEN_TLS_KEY: '/none.pem' }, /^.*none\.pem.*\n$/],
    ] as const) {
      const { code, err, out } = await run(['serve'], { EVERGREEN_DATA_DIR: newFolder(), ...env })
      assert.equal(code, 1)
      assert.match(err, said)
      assert.doesNotMatch(out, /listening/)
    }
  })

  test('an address that is taken ends it with one line', async () => {
    const server = await serve(newFolder())
    const env = { EVERGREEN_DATA_DIR: newFolder(), EVERGREEN_LISTEN: server.url.slice(7) }
    const { code, err } = await run(['serve'], env)
    assert.equal(code, 1)
    assert.match(err, /^.*EADDRINUSE.*\n$/)
    assert.equal(await end(server), 0)
  })
})

describe('evergreen config', () => {
  test('prints the settings in force, secrets masked, and warns', async () => {
    const file = join(top, 'settings.yaml')
    writeFileSync(file, 'server_name: a.example\nregistration_token: hunter2\n')
    const env = { EVERGREEN_DATABASE_URL: 'postgres://u:hunter3@h/d', EVERGREEN_NONSENSE: '1' }
    const { code, out, err } = await run(['config', '--config', file], env)
    assert.equal(code, 0)
    assert.match(out, /^server_name: a\.example$/m)
    assert.doesNotMatch(out + err, /hunter/)
    assert.match(err, /EVERGREEN_NONSENSE/)
  })

  test('what is not understood shows the usage and exits 2', async () => {
    for (const args of [[], ['dance'], ['serve', '--loudly'], ['user', 'add'], ['devices', 'refresh', 'bob']]) {
      const { code, err } = await run(args, {})
      assert.equal(code, 2, args.join(' '))
      assert.match(err, /evergreen serve/)
    }
  })
})

describe('evergreen user and devices', () => {
  test('work with and without a running server, in a folder with a long name', async () => {
    const dataDir = join(top, 'x'.repeat(120), 'data')
    mkdirSync(dirname(dataDir))
    const env = { EVERGREEN_DATA_DIR: dataDir, EVERGREEN_PASSWORD_HASH: 'test', EVERGREEN_LISTEN: '127.0.0.1:0' }
    const before = await run(['user', 'add', 'alice', '--admin'], env, 'secret of alice\n')
    assert.deepEqual([before.code, before.out], [0, 'added @alice:localhost:8448, an admin\n'])

    const server = await serve(dataDir)
    assert.doesNotMatch(server.out(), /No accounts yet/)
    const during = await run(['user', 'add', 'bob'], env, 'secret of bob\n')
    assert.deepEqual([during.code, during.out], [0, 'added @bob:localhost:8448\n'])
    for (const name of ['alice', 'bob']) assert.equal((await logIn(server.url, name, `secret of ${name}`)).status, 200)
    const taken = await run(['user', 'add', 'bob'], env, 'another\n')
    assert.equal(taken.code, 1)
    assert.match(taken.err + taken.out, /taken|in use/)

    // Nobody answers there, and nobody will: port 1 of this machine, where federation may not go anyway.
    const refreshed = await run(['devices', 'refresh', '@carol:127.0.0.1:1'], env)
    assert.equal(refreshed.code, 1)
    const status = await run(['devices', 'status'], env)
    assert.equal(status.code, 0)
    assert.match(status.out, /@carol:127\.0\.0\.1:1 +failing/)
    assert.equal(await end(server), 0)

    const after = await run(['devices', 'status', '--stale', '--server', '127.0.0.1:1'], env)
    assert.match(after.out, /@carol:127\.0\.0\.1:1 +failing/)
  })
})
