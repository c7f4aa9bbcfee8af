import { allDefinitions } from './definitions.ts'
import type { ListenAddress, Settings } from './settings.ts'

/** The settings in force as YAML, one a line, secrets masked. */
export function printSettings(settings: Settings): string {
  const lines: string[] = []
  let inDeviceLists = false
  for (const { path, name, secret } of allDefinitions) {
    if (path.length === 2 && !inDeviceLists) lines.push('device_lists:')
    inDeviceLists ||= path.length === 2
    const value = path.length === 2 ? settings.deviceLists[path[1] as 'fetches'] : settings[path[0] as keyof Settings]
    const shown = secret && value !== undefined ? '********' : show(name, value)
    lines.push(path.length === 2 ? `  ${name.slice('device_lists.'.length)}: ${shown}` : `${name}: ${shown}`)
  }
  return `${lines.join('\n')}\n`
}

function show(name: string, value: unknown): string {
  if (value === undefined) return name.endsWith('_listen') ? 'off' : ''
  if (name === 'rate_limits') return value ? 'on' : 'off'
  if (name === 'database_url') return String(value).replace(/(:\/\/[^:/@]*):[^@]*@/, '$1:********@')
  if (name === 'listen' || name.endsWith('_listen')) return JSON.stringify(addressText(value as ListenAddress))
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** `host:port`, an IPv6 host in brackets. */
export function addressText({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
