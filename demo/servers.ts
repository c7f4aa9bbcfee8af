import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import selfsigned from 'selfsigned'
import { freePort, startSynapse } from '../interop/synapse.ts'
import { createHomeserver, type Homeserver, type PartialSettings } from '../packages/homeserver/src/homeserver.ts'
import type { ServerName } from '../packages/homeserver/src/matrix/ids.ts'
import type { Logger } from '../packages/homeserver/src/platform/logger.ts'
import { type LossyProxy, startLossyProxy } from './lossy-proxy.ts'

/** A homeserver that can be stopped, and started again on the same data. */
type Server = { name: string; baseUrl: string; start(): Promise<void>; stop(): Promise<void> }

/** Two homeservers on this machine that talk to each other over TLS. */
export type Servers = {
  alices: Server
  bobs: Server & { kind: 'Evergreen' | 'Synapse' }
  /** What stands between them: on the way to alice's, word of bob's devices can get lost. */
  proxy: LossyProxy
  /** What the servers had to say, for whoever wonders. */
  logFile: string
  /** Ends everything and removes the data; the log stays if it is wanted. */
  remove(options: { keepLog: boolean }): Promise<void>
}

/** @throws if the real Synapse is asked for and cannot be had here */
export async function startServers(withSynapse: boolean): Promise<Servers> {
  if (withSynapse) await setUpSynapse()
  const folder = await mkdtemp(join(tmpdir(), 'evergreen-demo-'))
  const logFile = join(folder, 'servers.log')
  const { cert, private: key } = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  const [tlsCert, tlsKey] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  await Promise.all([writeFile(tlsCert, cert), writeFile(tlsKey, key)])

  const alicesPort = await freePort()
  const proxy = await startLossyProxy({ cert, key }, () => alicesPort)
  /** @param federationCaFile whom it trusts: the certificate of the other one */
  const settings = (name: string, port: number, federationCaFile: string): PartialSettings => ({
    serverName: `localhost:${port}` as ServerName,
    dataDir: join(folder, name),
    federationCaFile,
    federationAllowPrivate: true,
    registration: 'open',
    passwordHash: 'test',
    // A list that was fetched within the last half minute counts as new; here everything happens within seconds.
    deviceLists: { refreshCache: 0 },
  })
  const ending: (() => Promise<void>)[] = [() => proxy.close()]
  const remove: Servers['remove'] = async ({ keepLog }) => {
    for (const end of ending.reverse()) await end()
    if (!keepLog) await rm(folder, { recursive: true, force: true })
  }
  try {
    let bobs: Servers['bobs']
    let trusted = tlsCert
    if (withSynapse) {
      const synapse = await startSynapse()
      ending.push(async () => {
        await synapse.stop()
        appendFileSync(logFile, await readFile(synapse.logFile, 'utf8'))
        await synapse.remove()
      })
      trusted = synapse.certFile
      const { serverName: name, baseUrl } = synapse
      bobs = { kind: 'Synapse', name, baseUrl, start: synapse.start, stop: () => synapse.stop() }
    } else {
      const [plain, tls] = [await freePort(), await freePort()]
      const server = restartable(plain, logFile, {
        ...settings('bob', tls, tlsCert),
        tlsListen: { host: '127.0.0.1', port: tls },
        tlsCert,
        tlsKey,
      })
      ending.push(server.stop)
      bobs = { kind: 'Evergreen', ...server }
      await server.start()
    }
    const alices = restartable(alicesPort, logFile, { ...settings('alice', proxy.port, trusted), tlsListen: undefined })
    ending.push(alices.stop)
    await alices.start()
    return { alices, bobs, proxy, logFile, remove }
  } catch (error) {
    await remove({ keepLog: false })
    throw error
  }
}

function restartable(port: number, logFile: string, settings: PartialSettings): Server {
  let running: Homeserver | undefined
  return {
    name: String(settings.serverName),
    baseUrl: `http://127.0.0.1:${port}`,
    async start() {
      const listening = { ...settings, listen: { host: '127.0.0.1', port } }
      running = await createHomeserver(listening, { platform: { log: fileLog(logFile, String(settings.serverName)) } })
      await running.start()
    },
    async stop() {
      await running?.stop()
      running = undefined
    },
  }
}

function fileLog(file: string, server: string): Logger {
  const record = (level: string) => (fields: object, message: string) =>
    appendFileSync(file, `${JSON.stringify({ level, server, message, ...fields })}\n`)
  return { debug: () => {}, info: record('info'), warn: record('warn'), error: record('error') }
}

/** Safe to run again: what is there already is left alone. */
async function setUpSynapse(): Promise<void> {
  const script = fileURLToPath(new URL('../interop/setup-synapse.sh', import.meta.url))
  const [code] = await once(spawn('bash', [script], { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit')
  if (code !== 0) throw new Error('the real Synapse cannot be set up on this machine, see above')
}
