import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What stands before the processes of a server: passes connections on to them in turn, and can hold back what they answer. */
export type Balancer = {
  port: number
  /** Ports to pass connections on to; one that refuses is left out. */
  targets: number[]
  /** From now on nothing that is answered arrives, though requests do. Resolves with the first answer that is held back. */
  holdAnswers(): Promise<void>
  /** What was held back arrives, as far as anybody is still there. */
  letGo(): void
  close(): Promise<void>
}

/** On a port that the system chooses. Of what passes through nothing is looked at: it is encrypted. */
export async function startBalancer(): Promise<Balancer> {
  const sockets = new Set<Socket>()
  const targets: number[] = []
  let turn = 0
  let holding: { first: () => void; held: (() => void)[] } | undefined

  function track(socket: Socket): Socket {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    return socket.on('error', () => socket.destroy())
  }

  async function reach(): Promise<Socket | undefined> {
    for (let tries = targets.length; tries > 0; tries--) {
      const socket = track(connect({ host: '127.0.0.1', port: targets[turn++ % targets.length]! }))
      if (await once(socket, 'connect').catch(() => undefined)) return socket
    }
    return undefined
  }

  const server = createServer(async (client) => {
    track(client)
    const process = await reach()
    if (!process) return client.destroy()
    client.pipe(process)
    process.on('data', (chunk) => {
      if (!holding) return void client.write(chunk)
      holding.held.push(() => client.writable && client.write(chunk))
      holding.first()
    })
    process.once('close', () => client.destroy())
    client.once('close', () => process.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    holdAnswers() {
      const { promise, resolve } = Promise.withResolvers<void>()
      holding = { first: resolve, held: [] }
      return promise
    },
    letGo() {
      const held = holding?.held ?? []
      holding = undefined
      for (const pass of held) pass()
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
