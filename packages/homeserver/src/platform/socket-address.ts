import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'

/** The longest address of a socket that every system takes, in bytes. */
const MAX_BYTES = 100

/** Where a socket file is reached until it is released. */
export type SocketAddress = { path: string; release(): void }

/**
 * The address of a socket file in a folder. Systems take short ones only; on Linux a long one is reached through the open
 * folder.
 * @throws {Error} where a long one cannot be reached
 */
export function socketAddress(folder: string, name: string): SocketAddress {
  const path = join(folder, name)
  if (Buffer.byteLength(path) <= MAX_BYTES) return { path, release: () => {} }
  if (process.platform !== 'linux') throw new Error(`the path of ${folder} is too long for a socket in it`)
  const descriptor = openSync(folder, 'r')
  return { path: `/proc/self/fd/${descriptor}/${name}`, release: () => closeSync(descriptor) }
}
