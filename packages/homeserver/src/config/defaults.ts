import { allDefinitions } from './definitions.ts'
import type { DeviceListSettings, Settings } from './settings.ts'

/** Settings as somebody gives them: whatever is left out is as it is by default. */
export type PartialSettings = Partial<Omit<Settings, 'deviceLists'>> & { deviceLists?: Partial<DeviceListSettings> }

/** Settings with the defaults for whatever is left out. */
export function completeSettings(given: PartialSettings): Settings {
  const complete = new Map<string, unknown>()
  const deviceLists = new Map<string, unknown>()
  for (const { path, fallback } of allDefinitions) {
    const [property, inner] = path
    if (inner === undefined)
      complete.set(property!, Object.hasOwn(given, property!) ? given[property as keyof Settings] : fallback)
    else deviceLists.set(inner, given.deviceLists?.[inner as keyof DeviceListSettings] ?? fallback)
  }
  const settings = {
    ...Object.fromEntries(complete),
    deviceLists: Object.fromEntries(deviceLists),
  } as unknown as Settings
  // `off` is said as null where a setting is read, and as nothing where it is used.
  return {
    ...settings,
    tlsListen: settings.tlsListen ?? undefined,
    metricsListen: settings.metricsListen ?? undefined,
    logFormat: settings.logFormat ?? (process.stdout.isTTY ? 'pretty' : 'json'),
  }
}
