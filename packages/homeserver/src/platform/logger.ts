import { pino } from 'pino'

/** What features log through; the fields come first, the sentence last. No secret and no message content goes in. */
export type Logger = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export type LogSettings = { level: string; format: 'json' | 'pretty' }

/** A pino logger that writes to standard output, one JSON line a record, or coloured text for a person. */
export function createLogger({ level, format }: LogSettings): Logger {
  if (format === 'json') return pino({ level, base: null })
  return pino({
    level,
    base: null,
    transport: { target: 'pino-pretty', options: { translateTime: 'HH:MM:ss', ignore: 'pid,hostname' } },
  })
}

/** Swallows everything: for tests that do not look at the log. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
