import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The data folder, held by this process until it is released. */
export type DataFolder = { release(): void }

/** Another process has the folder. */
export class DataFolderInUse extends Error {}

/**
 * Makes the data folder if it is not there, for its owner only, and locks it. The lock is the system's own on a file in the
 * folder, so it ends with the process, however that ends.
 * @throws {DataFolderInUse}
 */
export async function lockDataFolder(path: string): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const file = join(path, 'lock')
  const lock = new DatabaseSync(file)
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (/locked|busy/.test((error as Error).message)) {
      throw new DataFolderInUse(
        `the data folder ${path} is in use by another Evergreen; stop it first, or name another folder`,
      )
    }
    throw error
  }
  await chmod(file, 0o600)
  return { release: () => lock.close() }
}
