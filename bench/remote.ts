import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import selfsigned from 'selfsigned'

/** A remote server that does nothing but answer for device lists, at the least cost: what is measured is the other side. */
export type Remote = {
  serverName: string
  /** PEM of its certificate, for the homeserver to trust. */
  certificate: string
  /** How many lists it has been asked for. */
  gets(): number
  close(): Promise<void>
}

/** @param devices how many devices each of its users has */
export async function startRemote(devices: number): Promise<Remote> {
  const attributes = [{ name: 'commonName', value: '127.0.0.1' }]
  const altNames = [{ type: 7 as const, ip: '127.0.0.1' }]
  const pem = await selfsigned.generate(attributes, { extensions: [{ name: 'subjectAltName', altNames }] })
  let gets = 0
  const server = createServer({ key: pem.private, cert: pem.cert }, (request, response) => {
    const path = request.url ?? ''
    const userId = decodeURIComponent(path.split('/').at(-1) ?? '')
    request.resume()
    const known = path.startsWith('/_matrix/federation/v1/user/devices/')
    if (known) gets++
    const body = known
      ? { user_id: userId, stream_id: 1, devices: devicesOf(userId, devices) }
      : { errcode: 'M_UNRECOGNIZED' }
    response.writeHead(known ? 200 : 404, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    serverName: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    certificate: pem.cert,
    gets: () => gets,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** The devices of a user, as a server lists them. */
export function devicesOf(userId: string, count: number): object[] {
  return Array.from({ length: count }, (_, index) => {
    const device_id = `DEVICE${index}`
    const key = 'A'.repeat(43)
    const keys = { [`curve25519:${device_id}`]: key, [`ed25519:${device_id}`]: key }
    const signatures = { [userId]: { [`ed25519:${device_id}`]: 'A'.repeat(86) } }
    const algorithms = ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2']
    return {
      device_id,
      device_display_name: `Device ${index}`,
      keys: { user_id: userId, device_id, algorithms, keys, signatures },
    }
  })
}
