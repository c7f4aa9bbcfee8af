import type { UserId } from '../matrix/ids.ts'
import { defaultPushRules, MASTER_RULE } from './default-push-rules.ts'

/** Kinds of push rules in the order in which they are looked at. Client-server API, "Push Rules". */
export const RULE_KINDS = ['override', 'content', 'room', 'sender', 'underride'] as const
export type RuleKind = (typeof RULE_KINDS)[number]

/** `notify`, or a tweak; `dont_notify` and `coalesce` are kept as they came and mean nothing. */
export type PushAction = string | object

/** As clients read it. */
export type PushRule = {
  rule_id: string
  default: boolean
  enabled: boolean
  actions: PushAction[]
  conditions?: object[]
  pattern?: string
}

export type Ruleset = Record<RuleKind, PushRule[]>

/** Where a rule goes among the user's own of its kind: by the ID of another of them. */
export type RulePlace = { before: string | undefined; after: string | undefined }

/**
 * What one user has changed, and all that is kept: defaults that come with a later version appear for everybody.
 * `own` has the user's rules, most important first; `changed` what differs in server-default rules.
 */
export type PushRuleChanges = {
  own: Record<RuleKind, PushRule[]>
  changed: { kind: RuleKind; rule_id: string; enabled?: boolean; actions?: PushAction[] }[]
}

/** What is changed in a rule that is there. */
export type RuleEdit = { enabled: boolean } | { actions: PushAction[] }

/** Reads what was kept, as JSON; `undefined` for a user who has changed nothing. */
export function readChanges(kept: string | undefined): PushRuleChanges {
  if (kept !== undefined) return JSON.parse(kept)
  return { own: { override: [], content: [], room: [], sender: [], underride: [] }, changed: [] }
}

/** All rules of a user: own rules come before the defaults, but for the one that silences everything. */
export function rulesetOf(userId: UserId, { own, changed }: PushRuleChanges): Ruleset {
  const defaults = defaultPushRules(userId)
  const rulesOf = (kind: RuleKind): PushRule[] => {
    const edited = defaults[kind].map((rule) => {
      const change = changed.find((one) => one.kind === kind && one.rule_id === rule.rule_id)
      return { ...rule, enabled: change?.enabled ?? rule.enabled, actions: change?.actions ?? rule.actions }
    })
    const master = edited.filter((rule) => rule.rule_id === MASTER_RULE)
    return [...master, ...own[kind], ...edited.filter((rule) => rule.rule_id !== MASTER_RULE)]
  }
  return {
    override: rulesOf('override'),
    content: rulesOf('content'),
    room: rulesOf('room'),
    sender: rulesOf('sender'),
    underride: rulesOf('underride'),
  }
}

/** Content of the account data event `m.push_rules`. Client-server API, "Push Rules: Events". */
export function pushRulesContent(userId: UserId, changes: PushRuleChanges): { global: Ruleset } {
  return { global: rulesetOf(userId, changes) }
}

/**
 * Adds one of the user's own rules, or replaces it. Without a place a new rule becomes the most important of its
 * kind, and a known one stays where it is; `before` wins over `after`.
 * @returns `undefined` if the rule that names the place is not there
 */
export function withRule(
  { own, changed }: PushRuleChanges,
  kind: RuleKind,
  rule: PushRule,
  { before, after }: RulePlace,
): PushRuleChanges | undefined {
  const known = own[kind].findIndex((one) => one.rule_id === rule.rule_id)
  const enabled = own[kind][known]?.enabled ?? true
  const others = own[kind].filter((_, index) => index !== known)
  let at = Math.max(known, 0)
  const neighbour = before ?? after
  if (neighbour !== undefined) {
    const index = others.findIndex((one) => one.rule_id === neighbour)
    if (index < 0) return undefined
    at = before !== undefined ? index : index + 1
  }
  return { own: { ...own, [kind]: others.toSpliced(at, 0, { ...rule, enabled }) }, changed }
}

/** Removes one of the user's own rules. @returns `undefined` if it is not there */
export function withoutRule(
  { own, changed }: PushRuleChanges,
  kind: RuleKind,
  ruleId: string,
): PushRuleChanges | undefined {
  const others = own[kind].filter((one) => one.rule_id !== ruleId)
  return others.length === own[kind].length ? undefined : { own: { ...own, [kind]: others }, changed }
}

/** Changes a rule, own or default. @returns `undefined` if there is no such rule */
export function withEdit(
  userId: UserId,
  { own, changed }: PushRuleChanges,
  kind: RuleKind,
  ruleId: string,
  edit: RuleEdit,
): PushRuleChanges | undefined {
  const matches = (one: { rule_id: string }) => one.rule_id === ruleId
  if (own[kind].some(matches)) {
    return { own: { ...own, [kind]: own[kind].map((one) => (matches(one) ? { ...one, ...edit } : one)) }, changed }
  }
  if (!defaultPushRules(userId)[kind].some(matches)) return undefined
  const isSame = (one: PushRuleChanges['changed'][number]) => one.kind === kind && one.rule_id === ruleId
  const merged = { kind, rule_id: ruleId, ...changed.find(isSame), ...edit }
  return { own, changed: [...changed.filter((one) => !isSame(one)), merged] }
}
