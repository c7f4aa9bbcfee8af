/**
 * Stale device lists noticed and mended, for matrix-js-sdk.
 *
 * @packageDocumentation
 */
export { looksStale, type Staleness } from './looks-stale.ts'
export type { RefreshOccasion } from './occasions.ts'
export type { RefreshArrival, RefreshFailure, RefreshFailureReason, RefreshOutcome } from './outcome.ts'
export { type RefreshDeviceListOpts, refreshDeviceList } from './refresh.ts'
export type { StaleSign, UndecryptableEvent } from './signs.ts'
export { type DeviceListState, getDeviceListState } from './state.ts'
export { type WatchedRefresh, type WatchOpts, watch } from './watch.ts'
