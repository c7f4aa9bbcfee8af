import type { TestDatabase } from '../support/databases.ts'
import type { Action, Plan, Step } from './plan.ts'
import { runPlan } from './run-seed.ts'

const [ALICE, BOB] = ['@u1:hs1', '@u1:far1.example']
const ALL = [ALICE, '@u2:hs1', BOB, '@u2:far1.example']

/** What a server does for device lists, one thing after another. */
const STORY: readonly Action[] = [
  { kind: 'change', user: BOB, change: 'add', news: 'told', pick: 0.5 },
  { kind: 'look', user: ALICE },
  { kind: 'change', user: BOB, change: 'add', news: 'hidden', pick: 0.5 },
  { kind: 'change', user: BOB, change: 'add', news: 'told', pick: 0.5 },
  { kind: 'look', user: ALICE },
  { kind: 'change', user: BOB, change: 'cross-sign', news: 'told', pick: 0.5 },
  { kind: 'refresh', user: ALICE, target: BOB },
  { kind: 'look', user: ALICE },
  { kind: 'leave', room: 0, user: BOB },
  { kind: 'change', user: BOB, change: 'remove', news: 'hidden', pick: 0.5 },
  { kind: 'join', room: 0, user: BOB },
  { kind: 'look', user: ALICE },
  { kind: 'change', user: ALICE, change: 'add', news: 'told', pick: 0.5 },
  { kind: 'change', user: ALICE, change: 'rename', news: 'told', pick: 0.5 },
  { kind: 'change', user: ALICE, change: 'cross-sign', news: 'told', pick: 0.5 },
  { kind: 'change', user: ALICE, change: 'remove', news: 'told', pick: 0.5 },
]
const EACH_TAKES_MS = 1_000

function planOf(calls: number, moment: 'before' | 'after'): Plan {
  const story = [
    { kind: 'kill', server: 'hs1', calls, moment } as const,
    ...STORY,
    { kind: 'start', server: 'hs1' } as const,
  ]
  return {
    seed: 'crashes',
    evergreens: ['hs1'],
    remotes: ['far1.example'],
    users: ALL,
    rooms: [ALL],
    silenceSuspect: 900_000,
    steps: story.map((action, n): Step => ({ ...action, at: n * EACH_TAKES_MS })),
  }
}

/**
 * The server dies at one of its calls to the database, before it is made or before its answer is seen, and starts again: nothing
 * but what is committed is left of it, so these are all the ways in which it can die.
 * @param calls how many it makes before
 * @returns whether it died; not if the story has fewer calls
 * @throws if not everything becomes right afterwards
 */
export async function crashAt(database: TestDatabase, calls: number, moment: 'before' | 'after'): Promise<boolean> {
  const { restarts } = await runPlan(planOf(calls, moment), database)
  return restarts > 0
}
