import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '../matrix/ids.ts'
import {
  type PushRule,
  type PushRuleChanges,
  type RuleKind,
  type RulePlace,
  readChanges,
  rulesetOf,
  withEdit,
  withoutRule,
  withRule,
} from './push-ruleset.ts'

const alice = '@alice:example.org' as UserId
const nowhere: RulePlace = { before: undefined, after: undefined }

function rule(ruleId: string, actions: PushRule['actions'] = ['notify']): PushRule {
  return { rule_id: ruleId, default: false, enabled: true, actions }
}

function withRules(kind: RuleKind, ...ids: string[]): PushRuleChanges {
  return ids.reduce<PushRuleChanges>(
    (changes, id) => withRule(changes, kind, rule(id), nowhere)!,
    readChanges(undefined),
  )
}

const idsOf = (changes: PushRuleChanges, kind: RuleKind) => rulesetOf(alice, changes)[kind].map((one) => one.rule_id)

test('whoever has changed nothing has the rules of the specification', () => {
  const rules = rulesetOf(alice, readChanges(undefined))
  assert.deepEqual(idsOf(readChanges(undefined), 'underride'), [
    '.m.rule.call',
    '.m.rule.encrypted_room_one_to_one',
    '.m.rule.room_one_to_one',
    '.m.rule.message',
    '.m.rule.encrypted',
  ])
  assert.deepEqual([rules.content, rules.room, rules.sender], [[], [], []])
  const enabled = rules.override.filter((one) => one.enabled).length
  assert.deepEqual([rules.override[0]?.rule_id, rules.override[0]?.enabled, enabled], ['.m.rule.master', false, 9])
  const mention = rules.override.find((one) => one.rule_id === '.m.rule.is_user_mention')
  assert.deepEqual(mention?.conditions, [
    { kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: alice },
  ])
  for (const one of Object.values(rules).flat()) assert.ok(one.default && one.rule_id.startsWith('.m.rule.'))
})

test('own rules come before the defaults, and after the one that silences everything', () => {
  const changes = withRules('override', 'mine')
  assert.deepEqual(idsOf(changes, 'override').slice(0, 3), ['.m.rule.master', 'mine', '.m.rule.suppress_notices'])
})

test('a new rule is the most important, or stands where it is put', () => {
  const changes = withRules('room', '!a', '!b')
  assert.deepEqual(idsOf(changes, 'room'), ['!b', '!a'])
  const put = (place: Partial<RulePlace>) => withRule(changes, 'room', rule('!c'), { ...nowhere, ...place })
  assert.deepEqual(idsOf(put({ before: '!a' })!, 'room'), ['!b', '!c', '!a'])
  assert.deepEqual(idsOf(put({ after: '!a' })!, 'room'), ['!b', '!a', '!c'])
  assert.deepEqual(idsOf(put({ before: '!b', after: '!a' })!, 'room'), ['!c', '!b', '!a'])
  assert.equal(put({ before: '!missing' }), undefined)
  assert.equal(put({ after: '.m.rule.master' }), undefined)
})

test('a rule that is put again keeps its place and whether it is in force', () => {
  const changes = withEdit(alice, withRules('sender', '@c:x', '@b:x', '@a:x'), 'sender', '@b:x', { enabled: false })!
  const again = withRule(changes, 'sender', rule('@b:x', []), nowhere)!
  assert.deepEqual(idsOf(again, 'sender'), ['@a:x', '@b:x', '@c:x'])
  assert.deepEqual(rulesetOf(alice, again).sender[1], { ...rule('@b:x', []), enabled: false })
  const moved = withRule(again, 'sender', rule('@b:x'), { before: '@a:x', after: undefined })!
  assert.deepEqual(idsOf(moved, 'sender'), ['@b:x', '@a:x', '@c:x'])
  assert.equal(withRule(again, 'sender', rule('@b:x'), { before: '@b:x', after: undefined }), undefined)
})

test('only own rules can be removed', () => {
  const changes = withRules('content', 'cake')
  assert.deepEqual(idsOf(withoutRule(changes, 'content', 'cake')!, 'content'), [])
  assert.equal(withoutRule(changes, 'override', 'cake'), undefined)
  assert.equal(withoutRule(changes, 'override', '.m.rule.master'), undefined)
})

test('what differs in a default is remembered piece by piece, and nothing else of it', () => {
  const silenced = withEdit(alice, readChanges(undefined), 'override', '.m.rule.master', { enabled: true })!
  const both = withEdit(alice, silenced, 'override', '.m.rule.master', { actions: ['notify'] })!
  const master = rulesetOf(alice, both).override[0]
  assert.deepEqual([master?.enabled, master?.actions, master?.default], [true, ['notify'], true])
  assert.deepEqual(both.changed, [{ kind: 'override', rule_id: '.m.rule.master', enabled: true, actions: ['notify'] }])
  assert.deepEqual(rulesetOf(alice, both).underride, rulesetOf(alice, readChanges(undefined)).underride)
  assert.equal(withEdit(alice, both, 'underride', '.m.rule.master', { enabled: true }), undefined)
  assert.equal(withEdit(alice, both, 'override', 'toString', { enabled: true }), undefined)
})

test('changes survive being kept as JSON', () => {
  const changes = withEdit(alice, withRules('room', '__proto__'), 'override', '.m.rule.master', { enabled: true })!
  assert.deepEqual(rulesetOf(alice, readChanges(JSON.stringify(changes))), rulesetOf(alice, changes))
})
