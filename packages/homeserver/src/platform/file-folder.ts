import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'

/** Files by name, each written once and whole. */
export type FileFolder = {
  /**
   * Keeps a file: on disk when the promise resolves.
   * @returns its size in bytes, or `too_large` if there were more than `maxBytes`: nothing is kept then
   */
  write(name: string, content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<number | 'too_large'>
  read(name: string): Readable
  remove(name: string): Promise<void>
}

/**
 * @param path made when the first file is written, for its owner only
 * @param newName names that are not in use, for files that are being written
 */
export function createFileFolder(path: string, newName: () => string): FileFolder {
  // Thousands of files in one folder are slow to list.
  const placeOf = (name: string) => join(path, name.slice(0, 2), name)

  return {
    async write(name, content, maxBytes) {
      const place = placeOf(name)
      await mkdir(dirname(place), { recursive: true, mode: 0o700 })
      const unfinished = `${place}.${newName()}.part`
      try {
        const size = await fill(unfinished, content, maxBytes)
        if (size !== 'too_large') await rename(unfinished, place)
        return size
      } finally {
        await rm(unfinished, { force: true })
      }
    },
    read: (name) => createReadStream(placeOf(name)),
    remove: (name) => rm(placeOf(name), { force: true }),
  }
}

async function fill(file: string, content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<number | 'too_large'> {
  const handle = await open(file, 'wx', 0o600)
  try {
    let size = 0
    for await (const chunk of content) {
      size += chunk.length
      if (size > maxBytes) return 'too_large'
      await handle.writeFile(chunk)
    }
    await handle.sync()
    return size
  } finally {
    await handle.close()
  }
}
