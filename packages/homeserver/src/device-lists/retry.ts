import type { DeviceListSettings } from '../config/settings.ts'
import { backoffDelay } from '../platform/backoff.ts'
import type { FetchFailure } from './failure.ts'

/** For the first ten minutes of a doubt retries stay close together. */
const EARLY_MS = 10 * 60_000
/** A user whom the remote refuses is asked for once a day in the end. */
const REFUSED_CAP_MS = 24 * 3_600_000

/** An attempt that has failed, and what the delay to the next one depends on. */
export type FailedAttempt = {
  failure: FetchFailure
  /** Failures in a row, this one included. */
  attempts: number
  /** How long the doubt has stood, in milliseconds. */
  doubtAgeMs: number
  /** Whether somebody waits for this list. */
  awaited: boolean
}

/**
 * When to try a user's list again, as a delay in milliseconds from now. Never is no answer.
 * @param fraction a random number in [0, 1)
 */
export function retryDelay(attempt: FailedAttempt, settings: DeviceListSettings, fraction: number): number {
  return backoffDelay({ baseMs: settings.retryBase, capMs: capOf(attempt, settings) }, attempt.attempts, fraction)
}

function capOf({ failure, doubtAgeMs, awaited }: FailedAttempt, settings: DeviceListSettings): number {
  if (failure.kind === 'refused') return REFUSED_CAP_MS
  if (doubtAgeMs < EARLY_MS) return settings.retryCapEarly
  return awaited ? settings.retryCapWaited : settings.retryCap
}
