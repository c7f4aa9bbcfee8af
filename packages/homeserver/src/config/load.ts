import { readFile } from 'node:fs/promises'
import { isObject } from '../matrix/json.ts'
import { completeSettings, type PartialSettings } from './defaults.ts'
import { allDefinitions, type PlacedDefinition } from './definitions.ts'
import type { Settings } from './settings.ts'

/** A setting that cannot be used. The message is one line that names the key, the value and what was expected. */
export class SettingsError extends Error {}

export type LoadedSettings = { settings: Settings; warnings: string[] }

const PREFIX = 'EVERGREEN_'
/** Variables of ours that are no settings. */
const OTHER_VARIABLES = /^EVERGREEN_(TEST_|SYNAPSE_|DIR$|SETUP_)/

/**
 * Reads the settings: the file if there is one, then the variables, which win; an empty variable is none.
 * @param source.file path of a YAML file
 * @param source.env environment variables
 * @throws {SettingsError}
 */
export async function loadSettings(source: {
  file?: string | undefined
  env: Record<string, string | undefined>
}): Promise<LoadedSettings> {
  const { file, env } = source
  const fromFile = file === undefined ? new Map<string, unknown>() : await readSettingsFile(file)
  const values = new Map<PlacedDefinition, unknown>()
  for (const definition of allDefinitions) {
    const inFile = fromFile.get(definition.name)
    const variable = env[definition.variable]
    if (variable !== undefined && variable !== '')
      values.set(definition, read(definition, variable, definition.variable))
    else if (inFile !== undefined && inFile !== null) values.set(definition, read(definition, inFile, definition.name))
  }
  const given: Record<string, unknown> = {}
  const deviceLists: Record<string, unknown> = {}
  for (const [{ path }, value] of values) {
    if (path.length === 1) given[path[0]!] = value
    else deviceLists[path[1]!] = value
  }
  const settings = completeSettings({ ...given, deviceLists } as PartialSettings)
  if ((settings.tlsCert === undefined) !== (settings.tlsKey === undefined)) {
    throw new SettingsError('tls_cert and tls_key go together: expected both or none')
  }
  return { settings, warnings: [...unknownVariables(env), ...withoutEffect(values)] }
}

function read({ kind, secret }: PlacedDefinition, value: unknown, name: string): unknown {
  const result = kind.read(value)
  if (result !== undefined) return result
  throw new SettingsError(
    `${name}: ${secret ? '(secret)' : JSON.stringify(value)} will not do, expected ${kind.expected}`,
  )
}

/** The file's values by dotted name. */
async function readSettingsFile(file: string): Promise<Map<string, unknown>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new SettingsError(`${file} cannot be read (${error.code}): expected a YAML file`)
  })
  const { parse } = await import('yaml')
  let document: unknown
  try {
    document = parse(text) ?? {}
  } catch (error) {
    throw new SettingsError(`${file} is no YAML: ${(error as Error).message.split('\n', 1)[0]}`)
  }
  if (!isObject(document)) throw new SettingsError(`${file}: expected a mapping of settings`)
  const values = new Map<string, unknown>()
  for (const [key, value] of Object.entries(document)) {
    if (key === 'device_lists' && isObject(value)) {
      for (const [inner, one] of Object.entries(value)) values.set(`device_lists.${inner}`, one)
    } else if (key === 'device_lists' && value !== null) {
      throw new SettingsError(`device_lists: ${JSON.stringify(value)} will not do, expected a mapping of settings`)
    } else if (key !== 'device_lists') values.set(key, value)
  }
  const known = new Set(allDefinitions.map((definition) => definition.name))
  for (const [name, value] of values) {
    if (known.has(name)) continue
    throw new SettingsError(
      `${name}: ${JSON.stringify(value)} is an unknown key in ${file}, expected one of docs/configuration.md`,
    )
  }
  return values
}

function unknownVariables(env: Record<string, string | undefined>): string[] {
  const known = new Set(allDefinitions.map((definition) => definition.variable))
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !known.has(name) && !OTHER_VARIABLES.test(name))
    .map((name) => `${name} is no setting and has no effect`)
}

function withoutEffect(values: ReadonlyMap<PlacedDefinition, unknown>): string[] {
  return [...values]
    .filter(
      ([{ unbuilt }, value]) =>
        unbuilt && value !== false && value !== null && !(Array.isArray(value) && value.length === 0),
    )
    .map(([{ name }]) => `${name} has no effect yet: what it is for is not built`)
}
