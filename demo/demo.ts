import { parseArgs } from 'node:util'
import { type Servers, startServers } from './servers.ts'
import { isSpoilt, type Spoilt, tellStory } from './story.ts'
import { createTelling, StepFailed } from './telling.ts'

const HELP = `Usage: npm run demo [-- --synapse]

Two homeservers on this machine, real clients with real encryption, a device that is hidden, and a refresh. Exits 0 only
if every step was seen to be true.

  --synapse   bob's homeserver is a real Synapse (set up first if need be: Debian, root, two minutes, 700 MB)
  --help      this text

Colours and the spinner go where standard output is no terminal, or with NO_COLOR.
`

async function main(): Promise<number> {
  const values = options()
  if (!values) {
    process.stderr.write(HELP)
    return 2
  }
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const terminal = process.stdout.isTTY === true
  const telling = createTelling(process.stdout, { colours: terminal && !process.env.NO_COLOR, spinner: terminal })
  let servers: Servers | undefined
  let keepLog = false
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'))
  })
  try {
    servers = await startServers(values.synapse === true)
    const told = tellStory(servers, telling, values.spoil)
    if ((await Promise.race([told, interrupted])) === 'interrupted') {
      told.catch(() => {})
      console.error('\nInterrupted.')
      return 130
    }
    console.log(`\nAll ${telling.verified} steps were verified.`)
    return 0
  } catch (error) {
    const at = error instanceof StepFailed ? ` at “${error.step}”` : ''
    console.error(`\nThe demonstration failed${at}: ${error instanceof Error ? error.message : String(error)}`)
    keepLog = servers !== undefined
    if (servers) console.error(`What the servers had to say is in ${servers.logFile}`)
    return 1
  } finally {
    await servers?.remove({ keepLog })
  }
}

/** What the command line asks for; `undefined` if it makes no sense. */
function options(): { synapse?: boolean; help?: boolean; spoil?: Spoilt } | undefined {
  try {
    const { values } = parseArgs({
      options: { synapse: { type: 'boolean' }, help: { type: 'boolean' }, spoil: { type: 'string' } },
    })
    const { spoil, ...rest } = values
    if (spoil !== undefined && !isSpoilt(spoil)) return undefined
    return { ...rest, ...(spoil && { spoil }) }
  } catch {
    return undefined
  }
}

// The SDK leaves timers behind that would keep the process alive for minutes.
process.exit(await main())
