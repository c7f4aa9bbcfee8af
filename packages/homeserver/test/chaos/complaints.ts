import type { Logger } from '../../src/platform/logger.ts'

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
        errors.push(new Error(`a server complained: ${message} ${JSON.stringify(rest)}`, { cause: err }))
      },
    },
    throwFirst() {
      if (errors[0]) throw errors[0]
    },
  }
}
