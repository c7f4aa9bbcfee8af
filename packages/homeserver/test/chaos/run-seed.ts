import { createHash } from 'node:crypto'
import type { UserId } from '../../src/matrix/ids.ts'
import type { TestDatabase } from '../support/databases.ts'
import { BOUND_MS, type Check, createCheck } from './check.ts'
import { serverOf } from './company.ts'
import { type Plan, planRun, type Size, type Step, sizeOf } from './plan.ts'
import { createSimulation, type Simulation } from './simulation.ts'

/** It has to stay right for so long (ms). */
const STAYS_MS = 2 * 60_000
const LOOK_MS = 5_000
/** While things go wrong, all lists are looked at this often. */
const CHECK_MS = 1_000

export type Report = {
  seed: number
  steps: number
  users: number
  requests: number
  restarts: number
  rightAfterMs: number
  /** Of all requests that servers made of each other, with the times and the answers: the same seed has the same one. */
  digest: string
}

/** The command that does exactly the same again. */
export function commandFor(seed: number, database: TestDatabase): string {
  return `npm run chaos -- --seed ${seed}${database.name === 'postgres' ? ' --postgres' : ''}`
}

/**
 * One run: a plan made of the seed, done step by step, and a check after each; then all faults end, and everything has to
 * become right.
 * @param options.trace is told of each step
 * @throws if it does not, with the command that does the same again
 */
export async function runSeed(
  seed: number,
  database: TestDatabase,
  options: { size?: Size; trace?: (line: string) => void } = {},
): Promise<Report> {
  const { size = sizeOf(seed), trace } = options
  try {
    return { seed, ...(await runPlan(planRun(`chaos ${seed}`, size), database, trace)) }
  } catch (error) {
    throw new Error(`seed ${seed} fails. Again: ${commandFor(seed, database)}`, { cause: error })
  }
}

/** Does a plan as it stands. */
export async function runPlan(
  plan: Plan,
  database: TestDatabase,
  trace?: (line: string) => void,
): Promise<Omit<Report, 'seed'>> {
  const run = await createSimulation(plan, database)
  const check = createCheck(run)
  let last: Step | undefined
  try {
    for (const step of plan.steps) {
      await passUntil(run, check, step.at)
      last = step
      trace?.(JSON.stringify(step))
      await run.take(step)
      await check.freshOnesAreTrue()
      run.throwBugs()
      const client = step.kind === 'look' && run.clients.find(({ userId }) => userId === step.user)
      if (client) await check.isUpToDate(client)
    }
    await run.heal()
    trace?.('faults end')
    const rightAfterMs = await becomesRight(run, check)
    await staysRight(run, check)
    const requests = run.net.network.requests()
    return {
      steps: plan.steps.length,
      users: plan.users.length,
      requests: requests.length,
      restarts: run.restarts(),
      rightAfterMs,
      digest: createHash('sha256').update(JSON.stringify(requests)).digest('base64url'),
    }
  } catch (error) {
    throw new Error(`it went wrong after ${JSON.stringify(last)}`, { cause: error })
  } finally {
    run.stop()
  }
}

/** Lets time pass until so much has passed since the run began (ms), and looks at all lists meanwhile. */
async function passUntil(run: Simulation, check: Check, at: number): Promise<void> {
  while (run.elapsed() < at) {
    await run.pass(Math.min(CHECK_MS, at - run.elapsed()))
    await check.freshOnesAreTrue()
    run.throwBugs()
  }
}

/** @returns how long it took (ms) */
async function becomesRight(run: Simulation, check: Check): Promise<number> {
  for (let waited = 0; ; waited += LOOK_MS) {
    run.lookAll()
    await run.net.settle()
    run.throwBugs()
    await check.freshOnesAreTrue()
    const wrong = run.isQuiet() ? await check.whatIsWrong() : ['remotes have not delivered everything']
    if (wrong.length === 0) return waited
    if (waited >= BOUND_MS)
      throw new Error(
        `${wrong.length} are wrong ${waited} ms after the end of the faults:\n${await explained(run, wrong)}`,
      )
    await run.pass(LOOK_MS)
  }
}

/** Nobody forgets what was right, and keys are had without a request. */
async function staysRight(run: Simulation, check: Check): Promise<void> {
  await run.pass(STAYS_MS)
  const before = run.net.network.requests().length
  run.lookAll()
  await run.net.settle()
  run.throwBugs()
  const wrong = await check.whatIsWrong()
  if (wrong.length > 0) throw new Error(`no longer right:\n${await explained(run, wrong)}`)
  for (const name of run.plan.evergreens) await run.askForAll(name)
  const made = run.net.network
    .requests()
    .slice(before)
    .filter(({ path }) => path.includes('/user/'))
  if (made.length > 0) throw new Error(`asked ${made[0]!.to} for ${made[0]!.path} though all lists are right`)
}

const SHOWN = 8

/** With what the servers concerned went through. */
async function explained({ net, plan }: Simulation, wrong: readonly string[]): Promise<string> {
  const lines: string[] = []
  for (const what of wrong.slice(0, SHOWN)) {
    lines.push(what)
    const [first, ...rest] = what.match(/@?\S*hs\d+|@\S+/g) ?? []
    const userId = rest.at(-1) as UserId | undefined
    const name = first?.startsWith('@') ? serverOf(first) : first
    if (!userId || !name || !plan.evergreens.includes(name)) continue
    lines.push(`    ${JSON.stringify(await net.servers[name]!.homeserver.ctx.deviceLists.history(userId))}`)
  }
  return lines.join('\n')
}
