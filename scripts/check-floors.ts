import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'

/**
 * The floors of packages/homeserver/src, the lowest first. A module imports from its own room and from floors below; rooms
 * on one floor do not know each other. A room is a folder or a file.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ['platform', 'matrix'],
  ['state'],
  ['config'],
  ['storage'],
  ['device-lists', 'sync', 'federation', 'users', 'ephemeral', 'devices', 'to-device', 'key-backup', 'rooms', 'media'],
  ['context.ts'],
  ['http'],
  ['homeserver.ts'],
  ['cli'],
  ['main.ts'],
]

/** A module as it is on disk: its path below src, and the paths below src that it imports. */
export type Module = { path: string; imports: string[] }

/** @returns what breaks the rule, one line each */
export function offences(modules: readonly Module[]): string[] {
  return modules.flatMap(({ path, imports }) => {
    const from = placeOf(path)
    if (!from) return [`${path} stands on no floor`]
    return imports.flatMap((target) => {
      const to = placeOf(target)
      if (!to) return [`${path} imports ${target}, which stands on no floor`]
      const allowed = from.room === to.room || to.floor < from.floor
      return allowed ? [] : [`${path} imports ${target}: ${from.room} may not know ${to.room}`]
    })
  })
}

function placeOf(path: string): { room: string; floor: number } | undefined {
  const room = path.split('/', 1)[0]!
  const floor = FLOORS.findIndex((rooms) => rooms.includes(room))
  return floor < 0 ? undefined : { room, floor }
}

/** The relative imports of a module's text, static and dynamic, types included. */
export function importsIn(text: string): string[] {
  return [...text.matchAll(/(?:from\s+|import\s*\(\s*|import\s+)['"](\.{1,2}\/[^'"]+)['"]/g)].map((match) => match[1]!)
}

async function readModules(source: string): Promise<Module[]> {
  const files = (await readdir(source, { recursive: true })).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  )
  return Promise.all(
    files.map(async (path) => {
      const text = await readFile(join(source, path), 'utf8')
      const imports = importsIn(text).map((target) => relative(source, resolve(source, dirname(path), target)))
      return { path, imports }
    }),
  )
}

if (import.meta.main) {
  const modules = await readModules(resolve(import.meta.dirname, '../packages/homeserver/src'))
  const imports = modules.reduce((sum, module) => sum + module.imports.length, 0)
  const found = offences(modules)
  for (const offence of found) console.error(offence)
  // A rule that looks at nothing holds nothing.
  if (modules.length < 10 || imports < 10) found.push('the modules were not found')
  console.log(`floors: ${modules.length} modules, ${imports} imports, ${found.length} offences`)
  process.exitCode = found.length > 0 ? 1 : 0
}
