import { existsSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Settings } from '../config/settings.ts'
import { createHomeserver } from '../homeserver.ts'
import { createOperatorApp } from '../http/ops/index.ts'
import { type SocketAddress, socketAddress } from '../platform/socket-address.ts'

/** One call to the operator API: the same whether a server is running or not. */
export type OperatorApi = {
  /** @throws {Error} with the server's own words if it refuses */
  call<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T>
  close(): Promise<void>
}

/**
 * Reaches the operator API: over the socket in the data folder if a server runs there, else by opening the database
 * without listening to anybody.
 */
export async function connectOperatorApi(settings: Settings): Promise<OperatorApi> {
  const { path: socketPath, release } = socketIn(settings.dataDir)
  const running = await overSocket(socketPath, 'GET', '/device_lists/stale?server=-').then(
    () => true,
    () => false,
  )
  if (running) {
    return {
      call: async (method, path, body) => readAnswer(await overSocket(socketPath, method, path, body)),
      close: async () => release(),
    }
  }
  release()
  const homeserver = await createHomeserver({ ...settings, logLevel: 'fatal' })
  await homeserver.startWorkers()
  const app = await createOperatorApp(homeserver.ctx)
  return {
    async call(method, url, body) {
      const response = await app.inject({ method, url, ...(body ? { payload: body } : {}) })
      return readAnswer({ status: response.statusCode, body: response.payload })
    },
    async close() {
      await app.close()
      await homeserver.stop()
    },
  }
}

/** A folder that is not there has no socket. */
function socketIn(dataDir: string): SocketAddress {
  if (existsSync(dataDir)) return socketAddress(dataDir, 'evergreen.sock')
  return { path: join(dataDir, 'evergreen.sock'), release: () => {} }
}

type Answer = { status: number; body: string }

function readAnswer<T>({ status, body }: Answer): T {
  const value = JSON.parse(body)
  if (status >= 400) throw new Error(value.error ?? `the server answered ${status}`)
  return value
}

function overSocket(socketPath: string, method: string, path: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const payload = body && JSON.stringify(body)
    const headers = payload ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) } : {}
    const request = httpRequest({ socketPath, method, path, headers }, (response) => {
      text(Readable.from(response)).then(
        (answer) => resolve({ status: response.statusCode ?? 0, body: answer }),
        reject,
      )
    })
    request.once('error', reject)
    request.end(payload)
  })
}
