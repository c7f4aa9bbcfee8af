#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TOP_PAD_=0 node --max-semi-space-size=4 --v8-pool-size=1 --initial-old-space-size=64 --heap-growing-percent=50 --disable-warning=ExperimentalWarning
// A small young generation, one arena and one helper thread: most of what an idle server holds would otherwise be garbage
// of its own start. And glibc gives back more of what is freed (docs/benchmarks.md).
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const NEEDED = 24
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

if (Number(process.versions.node.split('.')[0]) >= NEEDED) await run()
else runOnBroughtNode()

/** Node's cache of compiled code keeps the TypeScript without its types, so that later starts are quicker and smaller. */
async function run() {
  module.enableCompileCache(here('../../../node_modules/.cache/evergreen'))
  await import('../src/main.ts')
}

/** Outside of npm's own scripts an older Node may be first on the path; `npm ci` has brought a newer one. */
function runOnBroughtNode() {
  const node = here('../../../node_modules/.bin/node')
  if (!existsSync(node)) {
    console.error(`Evergreen needs Node ${NEEDED} or later, and this is ${process.versions.node}. Run "npm ci" first.`)
    process.exit(1)
  }
  const child = spawn(node, [...process.execArgv, here('evergreen.js'), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code) => process.exit(code ?? 1))
}
