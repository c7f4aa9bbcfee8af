import type { HttpResponse } from '../../src/platform/network.ts'

/** What a scripted remote can be asked. */
export type Endpoint =
  | 'devices'
  | 'query'
  | 'claim'
  | 'send'
  | 'serverKeys'
  | 'version'
  | 'event'
  | 'eventAuth'
  | 'missingEvents'
  | 'stateIds'
  | 'state'
  | 'backfill'
  | 'nearTime'
  | 'policySign'

/** Which requests: of one endpoint or any, about one user or any. */
export type Where = { endpoint?: Endpoint; user?: string }

/** `dripMs`: the body comes byte by byte, with so many milliseconds between them. */
export type ScriptedResponse = HttpResponse & { dripMs?: number }

/**
 * What is answered instead.
 * @param normal what would have been answered, as of the moment when the request came
 * @param body what was asked, parsed
 */
export type Answer = (normal: HttpResponse, body: unknown) => ScriptedResponse | Promise<ScriptedResponse>

export type Script = {
  /** Answers the next matching request this way, or as many as `times`. Several of them take turns, oldest first. */
  answerNext(where: Where, answer: Answer, times?: number): void
  /** Answers all matching requests this way that no `answerNext` waits for; the latest call counts. */
  answerAlways(where: Where, answer: Answer): void
  /** Forgets all answers. */
  answerNormally(): void
  /** Holds all matching requests until `release`; they get what was true when they came. */
  hang(where: Where): { release(): void }
  /** @param users whom the request is about */
  answer(endpoint: Endpoint, users: readonly string[], normal: HttpResponse, body: unknown): Promise<ScriptedResponse>
}

type Rule = { where: Where; answer: Answer; times: number }

export function createScript(): Script {
  let rules: Rule[] = []

  function ruleFor(endpoint: Endpoint, users: readonly string[]): Rule | undefined {
    const matching = rules.filter(
      ({ where }) =>
        (where.endpoint ?? endpoint) === endpoint && (where.user === undefined || users.includes(where.user)),
    )
    return matching.find(({ times }) => times < Number.POSITIVE_INFINITY) ?? matching.at(-1)
  }

  function answerAlways(where: Where, answer: Answer): Rule {
    const rule = { where, answer, times: Number.POSITIVE_INFINITY }
    rules.push(rule)
    return rule
  }

  return {
    answerNext: (where, answer, times = 1) => void rules.push({ where, answer, times }),
    answerAlways: (where, answer) => void answerAlways(where, answer),
    answerNormally() {
      rules = []
    },
    hang(where) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const rule = answerAlways(where, (normal) => promise.then(() => normal))
      return {
        release() {
          rules = rules.filter((other) => other !== rule)
          resolve()
        },
      }
    },
    async answer(endpoint, users, normal, body) {
      const rule = ruleFor(endpoint, users)
      if (!rule) return normal
      rule.times--
      if (rule.times === 0) rules = rules.filter((other) => other !== rule)
      return rule.answer(normal, body)
    },
  }
}
