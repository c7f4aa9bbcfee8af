import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { globalSetup, globalTeardown } from '../support/global-setup.ts'

// npm run chaos -- [--seeds 200] [--from 1] [--jobs 2] [--postgres]
// npm run chaos -- --seed 17 [--trace] [--postgres]
// npm run chaos -- --crashes [--every 1] [--postgres]     one story, with a death at each call to the database

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    crashes: { type: 'boolean', default: false },
    every: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    postgres: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
})

/** Real time; a seed takes seconds. */
const HANGS_AFTER_MS = 10 * 60_000

const script = fileURLToPath(new URL('./seed-process.ts', import.meta.url))
const first = Number(values.seed ?? values.from)
const last = values.seed === undefined ? first + Number(values.seeds) - 1 : first
const failed: number[] = []
let next = first

/** Each seed has a process of its own: what one leaves behind is not there for another. */
async function work(): Promise<void> {
  while (next <= last) {
    const seed = next++
    const flags = [...(values.postgres ? ['--postgres'] : []), ...(values.trace ? ['--trace'] : [])]
    const child = fork(script, [`${seed}`, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      timeout: HANGS_AFTER_MS,
    })
    let said = ''
    const print = (text: string) => {
      if (values.seed === undefined) said += text
      else process.stdout.write(text)
    }
    child.stdout!.setEncoding('utf8').on('data', print)
    child.stderr!.setEncoding('utf8').on('data', print)
    child.on('message', (report) => console.log(`seed ${seed} passes: ${JSON.stringify(report)}`))
    const [code, signal] = await once(child, 'close')
    if (code === 0) continue
    failed.push(seed)
    console.log(`${said}seed ${seed} ${signal ? 'HANGS' : 'FAILS'}`)
  }
}

async function runSeeds(): Promise<void> {
  await Promise.all(Array.from({ length: Number(values.jobs) }, work))
  console.log(`${last - first + 1 - failed.length} of ${last - first + 1} seeds pass`)
  for (const seed of failed)
    console.log(`again: npm run chaos -- --seed ${seed}${values.postgres ? ' --postgres' : ''}`)
  process.exitCode = failed.length === 0 ? 0 : 1
}

async function runCrashes(): Promise<void> {
  const crashes = fileURLToPath(new URL('./crash-process.ts', import.meta.url))
  const child = fork(crashes, [values.every, ...(values.postgres ? ['--postgres'] : [])])
  const [code] = await once(child, 'close')
  process.exitCode = code ?? 1
}

if (values.postgres) await globalSetup()
await (values.crashes ? runCrashes() : runSeeds())
if (values.postgres) await globalTeardown()
