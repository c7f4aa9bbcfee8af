import type { UserId } from '../matrix/ids.ts'
import { isObject, tryParseJson } from '../matrix/json.ts'
import { createBoundedCache } from '../platform/bounded-cache.ts'
import { accountDataContents, accountDataPositions } from '../storage/account-data.ts'
import type { Db } from '../storage/store.ts'
import { type CompiledRule, type CompiledRules, compileRule, compileRules } from './push-evaluation.ts'
import { PUSH_RULES } from './push-rules.ts'
import { type PushRule, type RuleKind, readChanges, rulesetOf } from './push-ruleset.ts'

/** What decides whether a user is notified of an event. */
type InForce = { rules: CompiledRules; ignored: ReadonlySet<string> }

/** The push rules of many users at once, read and compiled again only where they have changed. */
export type RulesInForce = (db: Db, userIds: readonly UserId[]) => Promise<Map<UserId, InForce>>

const IGNORED_USERS = 'm.ignored_user_list'
const TYPES = [PUSH_RULES, IGNORED_USERS]
/** Rules of so many users are kept compiled. */
const KEPT = 10_000
/** So many of the server's own rules, with whatever actions users have given them, if those are not as long as this (characters). */
const SHARED = 1_000
const LONGEST_SHARED = 1_000

export function createRulesInForce(): RulesInForce {
  // Which rules they were made of is looked up at each call, so another process's changes are seen.
  const kept = createBoundedCache<UserId, { asOf: string; inForce: InForce }>(KEPT)
  const shared = createBoundedCache<string, CompiledRule>(SHARED)

  /** Most of a user's rules are the server's own, the same for everybody: they are compiled once. */
  function compile(userId: UserId, kind: RuleKind, rule: PushRule): CompiledRule {
    const text = JSON.stringify([kind, rule])
    if (!rule.default || text.includes(userId) || text.length > LONGEST_SHARED) return compileRule(kind, rule)
    const compiled = shared.get(text) ?? compileRule(kind, rule)
    shared.set(text, compiled)
    return compiled
  }

  return async (db, userIds) => {
    const positions = Map.groupBy(await accountDataPositions(db, userIds, TYPES), (row) => row.user_id)
    // Which writings of the two it was made of.
    const asOf = (userId: UserId) =>
      (positions.get(userId) ?? [])
        .map((row) => `${row.type} ${row.position}`)
        .sort()
        .join()
    const found = new Map<UserId, InForce>()
    for (const userId of userIds) {
      const known = kept.get(userId)
      if (known && known.asOf === asOf(userId)) found.set(userId, known.inForce)
    }
    const missing = userIds.filter((userId) => !found.has(userId))
    const changed = missing.filter((userId) => positions.has(userId))
    const contents = Map.groupBy(await accountDataContents(db, changed, TYPES), (row) => row.user_id)
    for (const userId of missing) {
      const contentOf = (type: string) => contents.get(userId)?.find((row) => row.type === type)?.content
      const inForce = {
        rules: compileRules(rulesetOf(userId, readChanges(contentOf(PUSH_RULES))), (kind, rule) =>
          compile(userId, kind, rule),
        ),
        ignored: ignoredIn(contentOf(IGNORED_USERS)),
      }
      kept.set(userId, { asOf: asOf(userId), inForce })
      found.set(userId, inForce)
    }
    return found
  }
}

/** Client-server API, "m.ignored_user_list". A client may have set it to anything. */
function ignoredIn(content: string | undefined): ReadonlySet<string> {
  const list = content === undefined ? undefined : tryParseJson(content)
  const users = isObject(list) ? list.ignored_users : undefined
  return new Set(isObject(users) ? Object.keys(users) : [])
}
