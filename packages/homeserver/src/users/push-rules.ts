import { invalidParam, MatrixError, missingParam, notFound } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { accountDataContent, putAccountData } from '../storage/account-data.ts'
import type { Db, Store } from '../storage/store.ts'
import {
  type PushAction,
  type PushRule,
  type PushRuleChanges,
  type RuleEdit,
  type RuleKind,
  type RulePlace,
  type Ruleset,
  readChanges,
  rulesetOf,
  withEdit,
  withoutRule,
  withRule,
} from './push-ruleset.ts'

/** Type of the account data that push rules are kept in. */
export const PUSH_RULES = 'm.push_rules'

/** Which rule. */
type RuleName = { kind: RuleKind; ruleId: string }

/** A rule as a client sends it; its shape is checked. */
type NewPushRule = {
  actions: PushAction[]
  conditions?: object[] | undefined
  pattern?: string | undefined
}

/** Client-server API, "Push Rules: API". Every change reaches the user's devices through `/sync`. */
export type PushRules = {
  ruleset(userId: UserId): Promise<Ruleset>
  /** @throws `M_NOT_FOUND` */
  rule(userId: UserId, name: RuleName): Promise<PushRule>
  /**
   * Adds a rule or replaces it; what does not apply to its kind is left out.
   * @throws `M_INVALID_PARAM` for a reserved or malformed ID, `M_MISSING_PARAM` without a pattern where one is
   * needed, 400 `M_UNKNOWN` if the place is not there, 413 `M_TOO_LARGE`
   */
  put(userId: UserId, name: RuleName, rule: NewPushRule, place: RulePlace): Promise<void>
  /** @throws `M_NOT_FOUND`, also for server-default rules */
  remove(userId: UserId, name: RuleName): Promise<void>
  /** Changes what a rule does, or whether it is in force. @throws `M_NOT_FOUND` */
  edit(userId: UserId, name: RuleName, edit: RuleEdit): Promise<void>
}

/** How much a user's own rules may take, in bytes of JSON: they go whole into every change that `/sync` shows. */
export const MAX_RULES_BYTES = 256 * 1024

export function createPushRules(store: Store): PushRules {
  async function changesOf(db: Db, userId: UserId): Promise<PushRuleChanges> {
    return readChanges(await accountDataContent(db, { userId, roomId: '', type: PUSH_RULES }))
  }

  async function ruleset(userId: UserId): Promise<Ruleset> {
    return rulesetOf(userId, await changesOf(store.db, userId))
  }

  async function change(userId: UserId, how: (changes: PushRuleChanges) => PushRuleChanges): Promise<void> {
    await store.transaction(async (tx) => {
      // First, since it holds back others who would change the same rules from what they were before.
      const position = await tx.position()
      const content = JSON.stringify(how(await changesOf(tx.db, userId)))
      if (Buffer.byteLength(content) > MAX_RULES_BYTES) {
        throw new MatrixError(413, 'M_TOO_LARGE', 'There are too many push rules')
      }
      await putAccountData(tx.db, { userId, roomId: '', type: PUSH_RULES }, content, position)
      tx.wake([userId])
    })
  }

  return {
    ruleset,

    async rule(userId, { kind, ruleId }) {
      const rules = (await ruleset(userId))[kind]
      return rules.find((rule) => rule.rule_id === ruleId) ?? notThere()
    },

    async put(userId, { kind, ruleId }, { actions, conditions, pattern }, place) {
      if (ruleId.startsWith('.')) throw invalidParam('IDs that begin with a dot are for server-default rules')
      if (/[/\\]/.test(ruleId)) throw invalidParam('The ID of a rule has no slashes')
      const rule: PushRule = { rule_id: ruleId, default: false, enabled: true, actions }
      if (kind === 'override' || kind === 'underride') rule.conditions = conditions ?? []
      if (kind === 'content') rule.pattern = pattern ?? patternMissing()
      await change(userId, (changes) => withRule(changes, kind, rule, place) ?? noSuchPlace(place))
    },

    remove: (userId, { kind, ruleId }) => change(userId, (changes) => withoutRule(changes, kind, ruleId) ?? notThere()),

    edit: (userId, { kind, ruleId }, edit) =>
      change(userId, (changes) => withEdit(userId, changes, kind, ruleId, edit) ?? notThere()),
  }
}

function notThere(): never {
  throw notFound('The push rule was not found')
}

function patternMissing(): never {
  throw missingParam('A content rule needs a pattern')
}

function noSuchPlace({ before, after }: RulePlace): never {
  throw new MatrixError(400, 'M_UNKNOWN', `before/after rule not found: ${before ?? after}`)
}
