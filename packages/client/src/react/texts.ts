import type { RefreshFailureReason } from '../outcome.ts'

/** What the button says; an application translates it. */
export type DeviceListRefreshTexts = {
  label: string
  asking: string
  arrived: (devices: number) => string
  failed: (reason: RefreshFailureReason | 'ownServer') => string
  /** Added to a failure after which the homeserver tries again by itself. */
  willRetry: (at: Date) => string
  /** Added to a failure after which the person may ask again. */
  mayAskAgain: (at: Date) => string
}

const REASONS: Record<RefreshFailureReason | 'ownServer', string> = {
  refused: 'Their server does not tell.',
  remoteLimited: 'Their server asks to wait.',
  unreachable: 'Their server cannot be reached.',
  timeout: 'Their server did not answer in time.',
  limited: 'Too many requests.',
  unknownUser: 'There is no such user.',
  invalidUserId: 'This is not a user ID.',
  forbidden: 'Your homeserver does not allow it.',
  unauthenticated: 'You are not signed in any more.',
  unsupported: 'Your homeserver cannot do this.',
  unexpected: 'Something went wrong.',
  ownServer: 'Your homeserver cannot be reached.',
}

const time = (at: Date) => at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })

/** What the button says in English. */
export const englishTexts: DeviceListRefreshTexts = {
  label: 'Refresh devices',
  asking: 'Asking for the list of devices…',
  arrived: (devices) => `The list of devices is up to date: ${devices === 1 ? '1 device' : `${devices} devices`}.`,
  failed: (reason) => REASONS[reason],
  willRetry: (at) => `Your homeserver tries again at ${time(at)}.`,
  mayAskAgain: (at) => `You may ask again at ${time(at)}.`,
}
