/**
 * A hook and a button for React.
 *
 * @packageDocumentation
 */
export { DeviceListRefreshButton, type DeviceListRefreshButtonProps } from './refresh-button.ts'
export { type DeviceListRefreshTexts, englishTexts } from './texts.ts'
export { type DeviceListRefresh, type DeviceListRefreshState, useDeviceListRefresh } from './use-refresh.ts'
