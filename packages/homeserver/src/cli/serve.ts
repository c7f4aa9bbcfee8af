import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Settings } from '../config/settings.ts'
import { createHomeserver, type Homeserver } from '../homeserver.ts'
import { systemClock } from '../platform/clock.ts'
import { collectAllGarbage, createIdleCollection, processCpuMs } from '../platform/idle-memory.ts'

/** `evergreen serve`: runs until SIGTERM or SIGINT. @param warnings of the settings, for the log */
export async function serve(settings: Settings, warnings: readonly string[]): Promise<void> {
  const homeserver = await createHomeserver(settings)
  const { log, users } = homeserver.ctx
  for (const warning of warnings) log.warn({}, warning)
  if (settings.passwordHash === 'test') log.warn({}, 'passwords are hashed at the cheapest cost: for tests only')
  if (homeserver.firstStart) {
    log.warn(
      { serverName: settings.serverName },
      'first start: the server name is for good, it is part of every user ID',
    )
  }
  const stopped = untilStopped(homeserver)
  await homeserver.start()
  await showFirstToken(settings, await users.ensureFirstToken())
  const { plain: listen, tls } = homeserver.listening()
  log.info({ serverName: settings.serverName, listen, tls }, 'listening')
  const collection = createIdleCollection({
    clock: systemClock(),
    usedMs: processCpuMs,
    collect: collectAllGarbage,
    onError: (error) => log.error({ err: error }, 'giving memory back failed'),
  })
  collection.start()
  await stopped
  await collection.stop()
}

/** Stops at the first SIGTERM or SIGINT; a second one ends the process at once. */
function untilStopped(homeserver: Homeserver): Promise<void> {
  const { log } = homeserver.ctx
  process.on('SIGHUP', () => {
    homeserver.reloadCertificate().then(
      () => log.info({}, 'read the certificate again'),
      (error: unknown) => log.error({ err: error }, 'the certificate could not be read again; the old one stays'),
    )
  })
  return new Promise((resolve, reject) => {
    let stopping = false
    const stop = () => {
      if (stopping) process.exit(1)
      stopping = true
      log.info({}, 'stopping')
      homeserver.stop().then(resolve, reject)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

/**
 * Shows the token for the first account on the terminal, past the log, and keeps it in a file that only its owner can
 * read; the file goes when there is no such token any more.
 */
async function showFirstToken(settings: Settings, token: string | undefined): Promise<void> {
  const file = join(settings.dataDir, 'registration-token')
  if (token === undefined) {
    await rm(file, { force: true })
    return
  }
  await writeFile(file, `${token}\n`, { mode: 0o600 })
  process.stdout.write(
    `\nNo accounts yet. Register the first one, an admin, with this token:\n\n    ${token}\n\n` +
      `(also in ${file}; or run: evergreen user add NAME --admin)\n\n`,
  )
}
