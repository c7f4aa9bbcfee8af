import type { FetchFailure } from './failure.ts'

/** How a failure is told to a client. */
export type RelayedError = { status: number; errcode: string; error: string }

const FIXED_TEXT = 'The device list could not be fetched from the remote server'

/**
 * What a client is told of a failed fetch. A refusal is passed on in the remote's own words, introduced by its name.
 * Everything else gets one fixed text whatever the cause, so that the endpoint tells nothing about the network.
 */
export function describeFailure(failure: FetchFailure, serverName: string): RelayedError {
  switch (failure.kind) {
    case 'refused': {
      const words = failure.message ? `${serverName}: ${failure.message}` : `${serverName} refused to tell`
      return { status: failure.status ?? 403, errcode: failure.errcode ?? 'M_FORBIDDEN', error: words }
    }
    case 'limited':
      return { status: 429, errcode: 'M_LIMIT_EXCEEDED', error: `${serverName} asks to wait` }
    case 'limited_here':
      return { status: 429, errcode: 'M_LIMIT_EXCEEDED', error: 'Too many requests' }
    case 'timeout':
      return { status: 504, errcode: 'M_UNKNOWN', error: 'The remote server did not answer in time' }
    case 'down':
    case 'invalid':
      return { status: 502, errcode: 'M_UNKNOWN', error: FIXED_TEXT }
  }
}
