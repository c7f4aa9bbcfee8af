import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { selfMadeCertificate } from '../../src/platform/certificate.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { type Balancer, startBalancer } from './balancer.ts'

const COMMAND = fileURLToPath(new URL('../../bin/evergreen.js', import.meta.url))

/** A running `evergreen serve`. */
export type Served = {
  url: string
  /** SIGTERM. @returns the exit code */
  end(): Promise<number | null>
  /** SIGKILL: what it had in memory is gone. */
  kill(): Promise<void>
}

/** A server of one or more processes behind a balancer, by whose port it is named. */
export type ServedServer = {
  name: string
  balancer: Balancer
  /** Starts a process of it, with a data folder of its own. */
  serve(): Promise<Served>
}

/** Servers that trust each other's certificates, in processes started as an operator starts them. */
export type World = {
  /** @param databaseUrl without it, the server keeps its data in a folder */
  addServer(databaseUrl?: string): Promise<ServedServer>
  end(): Promise<void>
}

export async function createWorld(): Promise<World> {
  const top = mkdtempSync(join(tmpdir(), 'evergreen-processes-'))
  await selfMadeCertificate(top, 'localhost', systemClock().now())
  const children = new Set<ChildProcess>()
  const balancers: Balancer[] = []
  let folders = 0

  async function serve(name: string, databaseUrl: string | undefined, balancer: Balancer): Promise<Served> {
    const folder = join(top, `data${folders++}`)
    const settings = {
      server_name: name,
      data_dir: folder,
      ...(databaseUrl === undefined ? {} : { database_url: databaseUrl }),
      listen: '127.0.0.1:0',
      tls_listen: '127.0.0.1:0',
      tls_cert: join(top, 'tls.crt'),
      tls_key: join(top, 'tls.key'),
      federation_ca_file: join(top, 'tls.crt'),
      federation_allow_private: true,
      registration: 'open',
      rate_limits: 'off',
      password_hash: 'test',
      device_lists: { refresh_wait: 100 },
    }
    // JSON is YAML.
    writeFileSync(`${folder}.yaml`, JSON.stringify(settings))
    const child = spawn(COMMAND, ['serve', '--config', `${folder}.yaml`], {
      env: { PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    const exited = once(child, 'exit').finally(() => children.delete(child))
    const { listen, tls } = await listening(child)
    const port = Number(tls.split(':').at(-1))
    balancer.targets.push(port)
    const stop = async (signal: NodeJS.Signals) => {
      child.kill(signal)
      await exited
      balancer.targets.splice(balancer.targets.indexOf(port), 1)
      return child.exitCode
    }
    return {
      url: `http://${listen}`,
      end: () => stop('SIGTERM'),
      async kill() {
        await stop('SIGKILL')
      },
    }
  }

  return {
    async addServer(databaseUrl) {
      const balancer = await startBalancer()
      balancers.push(balancer)
      const name = `localhost:${balancer.port}`
      return { name, balancer, serve: () => serve(name, databaseUrl, balancer) }
    },
    async end() {
      for (const child of children) child.kill('SIGKILL')
      await Promise.all([...children].map((child) => once(child, 'exit')))
      for (const balancer of balancers) await balancer.close()
      rmSync(top, { recursive: true, force: true })
    },
  }
}

/** Waits for the line that says where a process listens. Errors in its log are shown with the test's own output. */
function listening(child: ChildProcess): Promise<{ listen: string; tls: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ listen: string; tls: string }>()
  let rest = ''
  let err = ''
  child.stderr!.on('data', (chunk) => {
    err += chunk
  })
  child.once('exit', () => reject(new Error(`it ended: ${err}`)))
  child.stdout!.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      if (line.includes('"msg":"listening"')) resolve(JSON.parse(line))
      if (/"level":(50|60)/.test(line)) console.error(line)
    }
  })
  return promise
}
