import { parseArgs } from 'node:util'
import { connectOperatorApi, type OperatorApi } from './cli/connection.ts'
import { destinations, devicesHistory, devicesRefresh, devicesStatus } from './cli/devices.ts'
import { serve } from './cli/serve.ts'
import { userAdd } from './cli/user-add.ts'
import { loadSettings, SettingsError } from './config/load.ts'
import { printSettings } from './config/print.ts'
import type { Settings } from './config/settings.ts'
import { OtherServerName } from './homeserver.ts'
import { isUserId } from './matrix/ids.ts'
import { systemClock } from './platform/clock.ts'
import { DataFolderInUse } from './platform/data-folder.ts'

const USAGE = `Usage:
  evergreen serve                                  runs the homeserver
  evergreen config                                 prints and checks the settings
  evergreen user add NAME [--admin]                creates an account; the password is asked for, or read from
                                                   standard input
  evergreen devices status [--server NAME] [--stale]
                                                   who is stale, since when, why, when the next try is due
  evergreen devices history USER                   what a list went through lately
  evergreen destinations                           other servers: who fails, since when, when the next try is due
  evergreen devices refresh USER…                  fetches device lists again; also --server NAME, --all-stale

Every command takes --config FILE. The settings are described in docs/configuration.md.
`

/** Runs a command. @returns the exit code: 0 done, 1 it failed, 2 it was not understood */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      admin: { type: 'boolean', default: false },
      server: { type: 'string' },
      stale: { type: 'boolean', default: false },
      'all-stale': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [command, ...rest] = positionals
  if (values.help || command === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  const settings = () => loadSettings({ file: values.config, env: process.env })
  const withApi = async (use: (api: OperatorApi) => Promise<number>) => operate((await settings()).settings, use)
  const [action, ...names] = rest

  if (command === 'serve' && rest.length === 0) {
    const loaded = await settings()
    await serve(loaded.settings, loaded.warnings)
    return 0
  }
  if (command === 'config' && rest.length === 0) {
    const loaded = await settings()
    process.stdout.write(printSettings(loaded.settings))
    for (const warning of loaded.warnings) process.stderr.write(`warning: ${warning}\n`)
    return 0
  }
  if (command === 'user' && action === 'add' && names.length === 1) {
    return withApi((api) => userAdd(api, names[0]!, values.admin))
  }
  if (command === 'devices' && action === 'status' && names.length === 0) {
    const filter = { server: values.server, stale: values.stale }
    return withApi((api) => devicesStatus(api, filter, systemClock().now()))
  }
  if (command === 'devices' && action === 'history' && names.length === 1 && isUserId(names[0])) {
    return withApi((api) => devicesHistory(api, names[0]!, systemClock().now()))
  }
  if (command === 'destinations' && rest.length === 0) {
    return withApi((api) => destinations(api, systemClock().now()))
  }
  const which = { users: names, server: values.server, allStale: values['all-stale'] }
  const something = names.length > 0 || which.server !== undefined || which.allStale
  if (command === 'devices' && action === 'refresh' && something && names.every(isUserId)) {
    return withApi((api) => devicesRefresh(api, which))
  }
  process.stderr.write(USAGE)
  return 2
}

async function operate(settings: Settings, use: (api: OperatorApi) => Promise<number>): Promise<number> {
  const api = await connectOperatorApi(settings)
  try {
    return await use(api)
  } finally {
    await api.close()
  }
}

/** What the person at the terminal can mend gets one line; anything else is a bug and shows where it was. */
function explain(error: unknown): { line: string; code: number } {
  const { code, message, stack } = error as NodeJS.ErrnoException
  if (code?.startsWith('ERR_PARSE_ARGS')) return { line: `${message}\n${USAGE}`, code: 2 }
  const expected = [SettingsError, DataFolderInUse, OtherServerName].some((kind) => error instanceof kind)
  return { line: expected || code !== undefined || !stack ? message : stack, code: 1 }
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  const { line, code } = explain(error)
  process.stderr.write(`${line}\n`)
  return code
})
// Timers of libraries do not hold a command up that is done.
process.stdout.write('', () => process.exit())
