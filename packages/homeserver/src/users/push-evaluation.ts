import { isObject } from '../matrix/json.ts'
import { compileCondition, eventMatch, type LookedAt, type PushFacts, type Test } from './push-conditions.ts'
import { compileGlob, type Effort } from './push-glob.ts'
import { type PushAction, type PushRule, RULE_KINDS, type RuleKind, type Ruleset } from './push-ruleset.ts'

/** What a user's rules say of an event. */
export type PushVerdict = {
  notify: boolean
  /** Only ever of what notifies. */
  highlight: boolean
  sound?: string
  /** The actions of the rule that matched, without those that mean nothing any more. */
  actions: PushAction[]
}

export type CompiledRule = { tests: readonly Test[]; verdict: PushVerdict }
/** Rules in force, the most important first. */
export type CompiledRules = readonly CompiledRule[]

/** How much one user's patterns may look at for one event, in characters. */
const EFFORT = 4_000_000
const NO_MATCH: PushVerdict = { notify: false, highlight: false, actions: [] }

/**
 * Reads a ruleset once, for many events. Client-server API, "Push Rules".
 * @param compile reads one rule; it may know it already
 */
export function compileRules(ruleset: Ruleset, compile = compileRule): CompiledRules {
  return RULE_KINDS.flatMap((kind) => ruleset[kind].filter((rule) => rule.enabled).map((rule) => compile(kind, rule)))
}

export function compileRule(kind: RuleKind, rule: PushRule): CompiledRule {
  return { tests: testsOf(kind, rule), verdict: verdictOf(rule.actions) }
}

/** What the first rule that matches says. Whoever sent the event is not asked: that is for the caller to see to. */
export function evaluatePushRules(rules: CompiledRules, event: LookedAt, facts: PushFacts): PushVerdict {
  const effort: Effort = { left: EFFORT }
  const match = rules.find(({ tests }) => tests.every((test) => test(event, facts, effort)))
  return match?.verdict ?? NO_MATCH
}

function testsOf(kind: RuleKind, rule: PushRule): Test[] {
  switch (kind) {
    case 'override':
    case 'underride':
      return (rule.conditions ?? []).map(compileCondition)
    case 'content':
      return [rule.pattern === undefined ? () => false : eventMatch('content.body', compileGlob(rule.pattern))]
    case 'room':
      return [(event) => event.property(['room_id']) === rule.rule_id]
    case 'sender':
      return [(event) => event.property(['sender']) === rule.rule_id]
  }
}

function verdictOf(kept: readonly PushAction[]): PushVerdict {
  const actions = kept.filter((action) => action !== 'dont_notify' && action !== 'coalesce')
  const notify = actions.includes('notify')
  const tweak = (name: string) =>
    actions.find((action) => isObject(action) && action.set_tweak === name) as { value?: unknown } | undefined
  const highlight = tweak('highlight')
  const sound = tweak('sound')?.value
  return {
    notify,
    highlight: notify && highlight !== undefined && highlight.value !== false,
    ...(typeof sound === 'string' ? { sound } : {}),
    actions,
  }
}
