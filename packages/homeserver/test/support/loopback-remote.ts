import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { generate } from 'selfsigned'
import { systemClock } from '../../src/platform/clock.ts'
import { createSystemNetwork } from '../../src/platform/system-network.ts'
import type { ScriptedResponse } from './remote-script.ts'
import { createScriptedRemote, type RemoteOptions, type ScriptedRemote } from './scripted-remote.ts'

/** PEM of a certificate for `localhost` and of its key. It is its own authority, so whoever has it can trust it. */
export type LoopbackCertificate = { cert: string; key: string }

export async function createLoopbackCertificate(): Promise<LoopbackCertificate> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  return { cert, key }
}

/** A scripted remote on real sockets, for suites about them. Its server name is `localhost:PORT`. */
export type LoopbackRemote = ScriptedRemote & { close(): Promise<void> }

/** @param certificate what it shows, and all that it trusts: its peers use the same */
export async function startLoopbackRemote(
  { cert, key }: LoopbackCertificate,
  options: Partial<Pick<RemoteOptions, 'clock' | 'random' | 'onProblem'>> = {},
): Promise<LoopbackRemote> {
  const server = createServer({ cert, key })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const serverName = `localhost:${(server.address() as AddressInfo).port}`
  const network = createSystemNetwork({ certificates: cert })
  const remote = createScriptedRemote({ clock: systemClock(), ...options, serverName, network })
  server.on('request', async (request: IncomingMessage, response: ServerResponse) => {
    const { status, headers, body, dripMs } = await answerOf(remote, request)
    response.writeHead(status, { ...headers, 'content-length': body.length })
    if (dripMs === undefined) response.end(body)
    else await dripInto(response, body, dripMs)
  })
  return {
    ...remote,
    async close() {
      await network.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function answerOf(remote: ScriptedRemote, request: IncomingMessage): Promise<ScriptedResponse> {
  const chunks: Buffer[] = await request.toArray()
  const body = Buffer.concat(chunks).toString('utf8')
  return remote.respond({
    method: request.method as 'GET',
    path: request.url!,
    headers: request.headers as Record<string, string>,
    ...(body === '' ? {} : { body }),
  })
}

async function dripInto(response: ServerResponse, body: Buffer, dripMs: number): Promise<void> {
  for (let at = 0; at < body.length && !response.destroyed; at++) {
    response.write(body.subarray(at, at + 1))
    await sleep(dripMs, undefined, { ref: false })
  }
  response.end()
}
