import type { Logger } from '../../src/platform/logger.ts'

/** A request that still waits when its server stops is cut off after a while, and finds the database closed. */
const isOfStopped = (error: unknown) => error instanceof Error && error.message === 'driver has already been destroyed'

/** A log in which an error is a bug: the faults of a run are none to be complained of so. */
export function complaints(): { logger: Logger; throwFirst(): void } {
  const errors: Error[] = []
  return {
    logger: {
      debug() {},
      info() {},
      warn() {},
      error(fields, message) {
        const { err, ...rest } = fields as { err?: unknown }
        if (isOfStopped(err)) return
        errors.push(new Error(`a server complained: ${message} ${JSON.stringify(rest)}`, { cause: err }))
      },
    },
    throwFirst() {
      if (errors[0]) throw errors[0]
    },
  }
}
