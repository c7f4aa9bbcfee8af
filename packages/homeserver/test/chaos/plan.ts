import { createSeededRandom } from '../support/seeded-random.ts'
import { createDice, type Dice } from './dice.ts'

/** What happens in a run, decided by its seed alone: values, which nothing that happens changes. */
export type Plan = {
  seed: string
  evergreens: readonly string[]
  remotes: readonly string[]
  /** User IDs, of all servers. */
  users: readonly string[]
  /** Who is in each room at first. */
  rooms: readonly (readonly string[])[]
  /** The `silence_suspect` of all Evergreens (ms). */
  silenceSuspect: number
  steps: readonly Step[]
}

/** How others hear of a change: in order, in a transaction of its own that may overtake others, or never. */
export type News = 'told' | 'alone' | 'hidden'
export type Change = 'add' | 'remove' | 'rename' | 'replace' | 'sign' | 'cross-sign'
export type Misbehaviour = (typeof MISBEHAVIOURS)[number]

/** What goes wrong on the way; `arriveAgain` is a chance, delays are the longest (ms). */
export type Trouble = {
  drop?: number
  hang?: number
  late?: number
  answerLate?: number
  arriveAgain?: number
  lose?: number
}

export type Action =
  | { kind: 'change'; user: string; change: Change; news: News; pick: number }
  | { kind: 'join' | 'leave'; room: number; user: string }
  | { kind: 'trouble'; from: string; to: string; trouble: Trouble }
  | { kind: 'release' }
  | { kind: 'misbehave'; remote: string; how: Misbehaviour; times: number }
  | { kind: 'behave'; remote: string }
  | { kind: 'kill'; server: string; calls: number; moment: 'before' | 'after' }
  | { kind: 'stop' | 'start'; server: string }
  | { kind: 'rebuild'; remote: string }
  | { kind: 'jump'; ms: number }
  | { kind: 'refresh'; user: string; target: string }
  | { kind: 'look'; user: string }

/** `at`: milliseconds since the run began. */
export type Step = Action & { at: number }

/** What a scripted remote can answer instead. */
export const MISBEHAVIOURS = [
  'down',
  'limits',
  'limits for long',
  'garbage',
  'wrong user',
  'no stream_id',
  'duplicate device',
  'unknown user',
  'never answers',
  'answers late',
  'too large',
] as const

/** How large a run is. */
export type Size = {
  evergreens: number
  remotes: number
  usersPerServer: number
  rooms: number
  steps: number
  lastsMs: number
}

const SMALL: Size = { evergreens: 1, remotes: 2, usersPerServer: 4, rooms: 4, steps: 90, lastsMs: 5 * 60_000 }
const USUAL: Size = { evergreens: 2, remotes: 3, usersPerServer: 8, rooms: 8, steps: 220, lastsMs: 8 * 60_000 }
const LARGE: Size = { evergreens: 3, remotes: 6, usersPerServer: 25, rooms: 20, steps: 400, lastsMs: 12 * 60_000 }

/** The sizes take turns: most runs are small, which shows why they fail; one in ten has hundreds of users. */
export function sizeOf(seed: number): Size {
  if (seed % 10 === 9) return LARGE
  return seed % 2 === 0 ? SMALL : USUAL
}

/** The plan of a run. Pure: the same seed and size give the same plan. */
export function planRun(seed: string, size: Size): Plan {
  const dice = createDice(createSeededRandom(`${seed} plan`))
  const evergreens = named('hs', size.evergreens)
  const remotes = named('far', size.remotes).map((name) => `${name}.example`)
  const usersOf = (server: string) => named('u', size.usersPerServer).map((name) => `@${name}:${server}`)
  const users = [...evergreens, ...remotes].flatMap(usersOf)
  const world = { ...size, evergreens, remotes, users, locals: evergreens.flatMap(usersOf) }
  const rooms = Array.from({ length: size.rooms }, () => [dice.one(world.locals), ...dice.some(users, 0.35)])
  const steps = Array.from({ length: size.steps }, () => plannedAt(dice, world, Math.round(dice.upTo(size.lastsMs))))
  return {
    seed,
    evergreens,
    remotes,
    users,
    rooms: rooms.map((members) => [...new Set(members)]),
    silenceSuspect: dice.one([120_000, 900_000]),
    steps: steps.flat().toSorted((a, b) => a.at - b.at),
  }
}

type World = Omit<Size, 'evergreens' | 'remotes'> & {
  evergreens: readonly string[]
  remotes: readonly string[]
  users: readonly string[]
  locals: readonly string[]
}

/** Something that happens at a time, together with what ends it. */
function plannedAt(dice: Dice, world: World, at: number): Step[] {
  const server = dice.one(world.evergreens)
  const remote = dice.one(world.remotes)
  const user = dice.one(world.users)
  const until = at + Math.round(dice.upTo(90_000))
  switch (dice.weighted(WEIGHTS)) {
    case 'change': {
      const news = dice.weighted({ told: 12, alone: 3, hidden: 1 } as const)
      const change = dice.weighted({ add: 5, remove: 3, rename: 2, replace: 1, sign: 2, 'cross-sign': 1 } as const)
      return [{ at, kind: 'change', user, change, news, pick: dice.upTo(1) }]
    }
    case 'room':
      return [{ at, kind: dice.one(['join', 'leave'] as const), room: Math.floor(dice.upTo(world.rooms)), user }]
    case 'trouble': {
      const pair = {
        from: dice.one([...world.evergreens, ...world.remotes, '*']),
        to: dice.one([...world.evergreens, ...world.remotes]),
      }
      const begins = { at, kind: 'trouble', ...pair, trouble: troubleOf(dice) } as const
      return [begins, { at: until, kind: 'trouble', ...pair, trouble: {} }]
    }
    case 'partition': {
      const groupA = new Set(dice.some([...world.evergreens, ...world.remotes], 0.5))
      const groupB = [...world.evergreens, ...world.remotes].filter((name) => !groupA.has(name))
      const ways = [...groupA].flatMap((a) =>
        groupB.flatMap((b) => [
          { from: a, to: b },
          { from: b, to: a },
        ]),
      )
      return ways.flatMap((way) => [
        { at, kind: 'trouble', ...way, trouble: { drop: 1 } } as const,
        { at: until, kind: 'trouble', ...way, trouble: {} } as const,
      ])
    }
    case 'misbehave': {
      const begins = {
        at,
        kind: 'misbehave',
        remote,
        how: dice.one(MISBEHAVIOURS),
        times: 1 + Math.floor(dice.upTo(6)),
      } as const
      return [begins, { at: until, kind: 'behave', remote }]
    }
    case 'race':
      return raceAt(dice, world, remote, at)
    case 'kill': {
      const moment = dice.one(['before', 'after'] as const)
      const kill = { at, kind: 'kill', server, calls: Math.floor(dice.upTo(60)), moment } as const
      return [kill, { at: until, kind: 'start', server }]
    }
    case 'stop':
      return [
        { at, kind: 'stop', server },
        { at: until, kind: 'start', server },
      ]
    case 'release':
      return [{ at, kind: 'release' }]
    case 'rebuild':
      return [{ at, kind: 'rebuild', remote }]
    case 'jump':
      return [{ at, kind: 'jump', ms: Math.round(dice.one([-1, 1]) * dice.upTo(3_600_000)) }]
    case 'refresh':
      return [{ at, kind: 'refresh', user: dice.one(world.locals), target: user }]
    case 'look':
      return [{ at, kind: 'look', user: dice.one(world.locals) }]
  }
}

/** A list is fetched, the answer is held up, and meanwhile it changes again: what fetches and updates have to get right together. */
function raceAt(dice: Dice, world: World, remote: string, at: number): Step[] {
  const user = dice.one(world.users.filter((userId) => userId.endsWith(`:${remote}`)))
  const change = (after: number, news: News) =>
    ({
      at: at + after,
      kind: 'change',
      user,
      change: dice.one(['add', 'remove'] as const),
      news,
      pick: dice.upTo(1),
    }) as const
  const asks = { at: at + 100, kind: 'refresh', user: dice.one(world.locals), target: user } as const
  const begins: Step[] = dice.one([[asks], [change(100, 'hidden'), change(200, 'told')]])
  const meanwhile: Step[] = dice.one([
    [change(2_000, 'told')],
    [change(2_000, 'hidden'), change(2_100, 'told')],
    [change(2_000, 'alone'), change(2_100, 'alone')],
  ])
  return [
    { at, kind: 'misbehave', remote, how: 'answers late', times: 1 },
    ...begins,
    ...meanwhile,
    { at: at + 5_000, kind: 'behave', remote },
  ]
}

const WEIGHTS = {
  change: 40,
  room: 15,
  look: 15,
  trouble: 8,
  misbehave: 6,
  race: 4,
  kill: 5,
  refresh: 5,
  partition: 2,
  release: 2,
  stop: 1,
  jump: 0.7,
  rebuild: 0.3,
} as const

function troubleOf(dice: Dice): Trouble {
  const chance = dice.one([0.3, 0.7, 1])
  return dice.one<Trouble>([
    { drop: chance },
    { hang: chance },
    { lose: chance },
    { late: Math.round(dice.upTo(20_000)) },
    { answerLate: Math.round(dice.upTo(20_000)) },
    { arriveAgain: chance, late: Math.round(dice.upTo(2_000)) },
    { drop: 0.2, lose: 0.2, arriveAgain: 0.3, late: 3_000, answerLate: 3_000 },
  ])
}

function named(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}${n + 1}`)
}
