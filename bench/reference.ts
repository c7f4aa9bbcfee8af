import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Agent, request } from 'undici'

// What our figures are held against: a server that keeps nothing and checks nothing. It answers a refresh by making the
// same request to the remote, unless it has the answer in memory.
const agent = new Agent({ connect: { ca: readFileSync(process.env.REFERENCE_CA_FILE!, 'utf8') }, connections: 10 })
const known = new Map<string, unknown>()

createServer(async (incoming, answer) => {
  const userId = decodeURIComponent(incoming.url!.split('/').at(-3)!)
  incoming.resume()
  if (incoming.url !== '/health' && !known.has(userId)) {
    const remote = `https://${userId.slice(userId.indexOf(':') + 1)}`
    const path = `/_matrix/federation/v1/user/devices/${encodeURIComponent(userId)}`
    const { body } = await request(remote + path, { dispatcher: agent })
    known.set(userId, await body.json())
  }
  answer.writeHead(incoming.url === '/health' ? 200 : 202, { 'Content-Type': 'application/json' }).end('{}')
}).listen(Number(process.env.REFERENCE_PORT), '127.0.0.1')

process.on('SIGTERM', () => process.exit(0))
