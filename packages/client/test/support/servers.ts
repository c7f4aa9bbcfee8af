// Real servers on loopback, and matrix-js-sdk clients of them.

import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createHomeserver, type Homeserver, type Overrides, type PartialSettings } from '@evergreen/homeserver'
import type { MatrixClient, Method } from 'matrix-js-sdk'
import { type Account, createCrossSigningKeys, register, startCryptoClient } from '../../../../interop/clients.ts'
import {
  createLoopbackCertificate,
  type LoopbackCertificate,
  type LoopbackRemote,
  startLoopbackRemote,
} from '../../../homeserver/test/support/loopback-remote.ts'

/** The SDK never clears the timers of its long polls; they must not keep the process of a test alive. */
const LONG_TIMER_MS = 60_000
const { setTimeout: startTimer } = globalThis
globalThis.setTimeout = Object.assign((callback: () => void, ms = 0, ...args: []) => {
  const timer = startTimer(callback, ms, ...args)
  return ms < LONG_TIMER_MS ? timer : timer.unref()
}, startTimer) as typeof setTimeout

/** What servers trust, and a folder for their data; both end with the test. */
export type Ground = { certificate: LoopbackCertificate; folder: string; certFile: string; keyFile: string }

export async function prepareGround(t: TestContext): Promise<Ground> {
  const certificate = await createLoopbackCertificate()
  const folder = await mkdtemp(join(tmpdir(), 'evergreen-client-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  await Promise.all([writeFile(certFile, certificate.cert), writeFile(keyFile, certificate.key)])
  return { certificate, folder, certFile, keyFile }
}

/** A homeserver that listens on loopback and federates over TLS; it ends with the test. */
export async function startHomeserver(
  t: TestContext,
  ground: Ground,
  settings: PartialSettings = {},
  overrides: Overrides = {},
): Promise<Homeserver> {
  const [http, tls] = [await freePort(), await freePort()]
  const server = await createHomeserver(
    {
      serverName: `localhost:${tls}` as Homeserver['settings']['serverName'],
      dataDir: join(ground.folder, String(tls)),
      listen: { host: '127.0.0.1', port: http },
      tlsListen: { host: '127.0.0.1', port: tls },
      tlsCert: ground.certFile,
      tlsKey: ground.keyFile,
      federationCaFile: ground.certFile,
      federationAllowPrivate: true,
      registration: 'open',
      rateLimits: false,
      passwordHash: 'test',
      logLevel: 'fatal',
      ...settings,
      deviceLists: { refreshCache: 0, ...settings.deviceLists },
    },
    overrides,
  )
  await server.start()
  t.after(() => server.stop())
  return server
}

/** A scripted server of others' users; it ends with the test. */
export async function startRemote(t: TestContext, ground: Ground): Promise<LoopbackRemote> {
  const remote = await startLoopbackRemote(ground.certificate)
  t.after(() => remote.close())
  return remote
}

export type StartedClient = { account: Account; client: MatrixClient }

/** A new user of a server with a client that syncs, has crypto, and stops with the test. */
export async function startUser(
  t: TestContext,
  server: Homeserver,
  username: string,
  options: { crossSigning?: boolean } = {},
): Promise<StartedClient> {
  const account = await register(server.baseUrl(), { username })
  const client = await startClient(t, account)
  if (options.crossSigning) await createCrossSigningKeys(client, account)
  return { account, client }
}

/** A client of an account that stops with the test. */
export async function startClient(t: TestContext, account: Account): Promise<MatrixClient> {
  const client = await startCryptoClient(account)
  t.after(() => client.stopClient())
  return client
}

/** Counts requests that a client makes, by a part of their path; the requests go on as they would. */
export function countRequests(t: TestContext, client: MatrixClient, method: Method, part: string): () => number {
  const spy = t.mock.method(client.http, 'authedRequest')
  return () => spy.mock.calls.filter(({ arguments: [m, path] }) => m === method && String(path).includes(part)).length
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
