import type { RoomId, UserId } from '../matrix/ids.ts'
import { isObject, type JsonObject, tryParseJson } from '../matrix/json.ts'
import { accountDataContent, putAccountData } from '../storage/account-data.ts'
import type { Tx } from '../storage/store.ts'
import { MAX_RULES_BYTES, PUSH_RULES } from './push-rules.ts'
import { type PushRule, type PushRuleChanges, RULE_KINDS, readChanges, withRule } from './push-ruleset.ts'

/** A room, and the one that it was upgraded to. */
type Succession = { from: RoomId; to: RoomId }

export type SuccessorRooms = {
  /**
   * Gives a user in the new room what they had set for the old one: tags, push rules, and that it is a direct chat.
   * Client-server API, "Room Upgrades", "Server behaviour".
   */
  followSuccession(tx: Tx, userId: UserId, succession: Succession): Promise<void>
}

export function createSuccessorRooms(): SuccessorRooms {
  return {
    async followSuccession(tx, userId, succession) {
      const { from, to } = succession
      const tags = await accountDataContent(tx.db, { userId, roomId: from, type: 'm.tag' })
      if (tags !== undefined) await put(tx, userId, to, 'm.tag', tags)
      await change(tx, userId, 'm.direct', (content) => directChats(tryParseJson(content), succession))
      await change(tx, userId, PUSH_RULES, (content) => {
        const changes = rulesFor(readChanges(content), succession)
        const text = changes && JSON.stringify(changes)
        return text !== undefined && Buffer.byteLength(text) <= MAX_RULES_BYTES ? text : undefined
      })
      tx.wake([userId])
    },
  }
}

async function change(tx: Tx, userId: UserId, type: string, how: (content: string) => string | undefined) {
  const before = await accountDataContent(tx.db, { userId, roomId: '', type })
  const after = before === undefined ? undefined : how(before)
  if (after !== undefined) await put(tx, userId, '', type, after)
}

async function put(tx: Tx, userId: UserId, roomId: string, type: string, content: string): Promise<void> {
  await putAccountData(tx.db, { userId, roomId, type }, content, await tx.position())
}

/** @returns `undefined` if the old room is no direct chat, or the new one is already */
function directChats(content: unknown, { from, to }: Succession): string | undefined {
  if (!isObject(content)) return undefined
  const isWith = (rooms: unknown): rooms is unknown[] =>
    Array.isArray(rooms) && rooms.includes(from) && !rooms.includes(to)
  if (!Object.values(content).some(isWith)) return undefined
  const entries = Object.entries(content).map(([userId, rooms]) => [userId, isWith(rooms) ? [...rooms, to] : rooms])
  return JSON.stringify(Object.fromEntries(entries))
}

/** The rules with a copy, for the new room, of each that is about the old one. @returns `undefined` if none is */
function rulesFor(changes: PushRuleChanges, { from, to }: Succession): PushRuleChanges | undefined {
  let next = changes
  for (const kind of RULE_KINDS) {
    for (const rule of changes.own[kind].toReversed()) {
      const copy = ruleFor(rule, { from, to })
      if (copy) next = withRule(next, kind, copy, { before: undefined, after: undefined }) ?? next
    }
  }
  return next === changes ? undefined : next
}

function ruleFor(rule: PushRule, { from, to }: Succession): PushRule | undefined {
  const isAbout = (condition: object) => {
    const { key, pattern } = condition as JsonObject
    return key === 'room_id' && pattern === from
  }
  const conditions = rule.conditions ?? []
  if (rule.rule_id !== from && !conditions.some(isAbout)) return undefined
  return {
    ...rule,
    rule_id: rule.rule_id.includes(from) ? rule.rule_id.replaceAll(from, to) : `${rule.rule_id} ${to}`,
    ...(rule.conditions && {
      conditions: conditions.map((one) => (isAbout(one) ? { ...one, pattern: to } : one)),
    }),
  }
}
