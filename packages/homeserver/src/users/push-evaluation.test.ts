import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '../matrix/ids.ts'
import { lookAt, type PushEvent, type PushFacts, pathOf } from './push-conditions.ts'
import { compileRules, evaluatePushRules } from './push-evaluation.ts'
import { compileGlob, type Effort, matchesWhole, matchesWords } from './push-glob.ts'
import { type PushRuleChanges, type RuleKind, readChanges, rulesetOf } from './push-ruleset.ts'

const ALICE = '@alice:example.org' as UserId
const FACTS: PushFacts = {
  displayName: 'Alice',
  memberCount: 3,
  senderPowerLevel: 0,
  notificationLevel: (key) => (key === 'room' ? 50 : 0),
}

const message = (body: unknown, content: object = {}): PushEvent => ({
  type: 'm.room.message',
  sender: '@bob:example.org',
  room_id: '!r:example.org',
  event_id: '$e',
  content: { msgtype: 'm.text', body, ...content },
})

function verdict(
  event: PushEvent,
  own: [RuleKind, object][] = [],
  facts: Partial<PushFacts> = {},
  changed: object[] = [],
) {
  const changes = readChanges(undefined)
  for (const [kind, rule] of own) {
    changes.own[kind].push({ rule_id: 'own', default: false, enabled: true, actions: ['notify'], ...rule })
  }
  const rules = compileRules(rulesetOf(ALICE, { ...changes, changed: changed as PushRuleChanges['changed'] }))
  return evaluatePushRules(rules, lookAt(event), { ...FACTS, ...facts })
}

/** Whether one condition holds, by a rule that highlights. */
function holds(condition: object, event: PushEvent = message('hello'), facts: Partial<PushFacts> = {}): boolean {
  const actions = ['notify', { set_tweak: 'highlight' }]
  return verdict(event, [['override', { conditions: [condition], actions }]], facts).highlight
}

test('the default rules', () => {
  assert.deepEqual(verdict(message('hello')), { notify: true, highlight: false, actions: ['notify'] })
  assert.equal(verdict(message('hello'), [], { memberCount: 2 }).sound, 'default')
  assert.equal(verdict(message('hello', { msgtype: 'm.notice' })).notify, false)
  assert.equal(verdict(message('hello', { 'm.relates_to': { rel_type: 'm.replace' } })).notify, false)
  assert.equal(verdict({ ...message('x'), type: 'm.reaction' }).notify, false)
  assert.equal(verdict({ ...message('x'), type: 'org.example.x' }).notify, false)
  const mention = verdict(message('hello', { 'm.mentions': { user_ids: ['@x:y', ALICE] } }))
  assert.deepEqual([mention.notify, mention.highlight, mention.sound], [true, true, 'default'])
  const everybody = message('hello', { 'm.mentions': { room: true } })
  assert.equal(verdict(everybody).highlight, false)
  assert.equal(verdict(everybody, [], { senderPowerLevel: 50 }).highlight, true)
  const invite = (state_key: string) => ({
    ...message('x', { membership: 'invite' }),
    type: 'm.room.member',
    state_key,
  })
  assert.deepEqual([verdict(invite(ALICE)).notify, verdict(invite('@eve:example.org')).notify], [true, false])
  const master = [{ kind: 'override', rule_id: '.m.rule.master', enabled: true }]
  assert.equal(verdict(message('hello', { 'm.mentions': { user_ids: [ALICE] } }), [], {}, master).notify, false)
})

test('the kinds of rules have an order, disabled ones never match, and the first that matches decides', () => {
  const silent = { actions: [] }
  const word = { pattern: 'tea' }
  const event = message('It is time for tea')
  assert.equal(verdict(event, [['room', { rule_id: '!r:example.org', ...silent }]]).notify, false)
  assert.equal(verdict(event, [['room', { rule_id: '!other:example.org', ...silent }]]).notify, true)
  assert.equal(verdict(event, [['sender', { rule_id: '@bob:example.org', ...silent }]]).notify, false)
  const loud = { actions: ['notify', { set_tweak: 'sound', value: 'bells' }] }
  const both: [RuleKind, object][] = [
    ['sender', { rule_id: '@bob:example.org', ...silent }],
    ['content', { ...word, ...loud }],
  ]
  assert.equal(verdict(event, both).sound, 'bells')
  assert.equal(verdict(event, [['override', silent], ...both]).notify, false, 'no conditions always hold')
  assert.equal(verdict(event, [['override', { ...silent, enabled: false }], ...both]).sound, 'bells')
  assert.equal(verdict(event, [['override', { actions: ['dont_notify'] }]]).notify, false)
  assert.deepEqual(verdict(event, [['override', { actions: ['coalesce', 'notify'] }]]).actions, ['notify'])
  const off = ['notify', { set_tweak: 'highlight', value: false }]
  assert.equal(verdict(event, [['override', { actions: off }]]).highlight, false)
  assert.equal(verdict(event, [['override', { actions: [{ set_tweak: 'highlight' }] }]]).highlight, false)
})

test('conditions', () => {
  const match = (key: string, pattern: unknown) => holds({ kind: 'event_match', key, pattern })
  assert.deepEqual(
    [match('type', 'm.*.MESSAGE'), match('type', 'm.room'), match('sender', '@b?b:*')],
    [true, false, true],
  )
  assert.deepEqual([match('content.none', '*'), match('content', '*'), match('type', 3)], [false, false, false])
  const odd = message('x', { 'a.b': { 'c\\d': 5, list: [1, 'x', null, [2]], yes: true, nil: null } })
  const is = (key: string, value: unknown) => holds({ kind: 'event_property_is', key, value }, odd)
  assert.deepEqual(
    [is('content.a\\.b.c\\\\d', 5), is('content.a\\.b.yes', true), is('content.a\\.b.nil', null)],
    [true, true, true],
  )
  assert.deepEqual(
    [is('content.a\\.b.yes', 'true'), is('content.a\\.b.yes', 1), is('content.none', undefined)],
    [false, false, false],
  )
  assert.equal(is('content.toString', undefined), false)
  const contains = (value: unknown) => holds({ kind: 'event_property_contains', key: 'content.a\\.b.list', value }, odd)
  assert.deepEqual([1, 'x', null, 2, '1', [2]].map(contains), [true, true, true, false, false, false])
  const count = (is: unknown, memberCount: number) =>
    holds({ kind: 'room_member_count', is }, undefined, { memberCount })
  assert.deepEqual(
    [count('3', 3), count('==3', 3), count('<3', 3), count('<=3', 3), count('>2', 3), count('>=4', 3)],
    [true, true, false, true, true, false],
  )
  assert.deepEqual([count('three', 3), count(3, 3), count('=3', 3)], [false, false, false])
  const named = (body: unknown, displayName?: string) =>
    holds({ kind: 'contains_display_name' }, message(body), { displayName })
  assert.deepEqual(
    [named('hi ALICE!', 'Alice'), named('malice', 'Alice'), named('hi', ''), named('a*b', '*'), named('ab', '*')],
    [true, false, false, true, false],
  )
  assert.deepEqual([named(5, 'Alice'), named('hi')], [false, false])
  assert.deepEqual(
    [holds({ kind: 'org.example.moon' }), holds({}), holds({ kind: 'event_match' })],
    [false, false, false],
  )
  const allowed = (senderPowerLevel: number, key?: string) =>
    holds({ kind: 'sender_notification_permission', key }, undefined, { senderPowerLevel })
  assert.deepEqual([allowed(50, 'room'), allowed(49, 'room'), allowed(100)], [true, false, false])
})

test('paths', () => {
  assert.deepEqual(pathOf('content.a\\.b'), ['content', 'a.b'])
  assert.deepEqual(pathOf('a\\\\.b\\x\\'), ['a\\', 'b\\x\\'])
  assert.deepEqual(pathOf('.a.'), ['', 'a', ''])
})

test('patterns match whole texts, or whole words', () => {
  const whole = (pattern: string, text: string) => matchesWhole(compileGlob(pattern), text.toLowerCase(), { left: 1e6 })
  for (const text of ['Lunch plans', 'LUNCH']) assert.ok(whole('lunc?*', text), text)
  for (const text of [' lunch', 'lunc']) assert.ok(!whole('lunc?*', text), text)
  assert.deepEqual(
    [whole('', ''), whole('*', ''), whole('a*a', 'a'), whole('*ab*ab', 'abab'), whole('a*bc', 'abcbc')],
    [true, true, false, true, true],
  )
  const words = (pattern: string, text: string) => matchesWords(compileGlob(pattern), text.toLowerCase(), { left: 1e6 })
  for (const text of ['An example event.', 'exple', 'An exciting triple-whammy']) assert.ok(words('ex*ple', text), text)
  assert.deepEqual(
    [words('tea', 'steam'), words('tea', 'steam tea'), words('tea', 'tea_'), words('tea', '(tea)')],
    [false, true, false, true],
  )
  assert.deepEqual(
    [words('te?', 'a tee'), words('te?', 'teen'), words(':-)', 'ok :-)'), words('?', 'ab')],
    [true, false, true, false],
  )
})

test('no pattern takes for ever', () => {
  const effort: Effort = { left: 4_000_000 }
  const text = 'a'.repeat(60_000)
  assert.equal(matchesWords(compileGlob(`${'a?'.repeat(100)}b`), `${text}b`.replaceAll('a', 'a '), effort), false)
  assert.equal(matchesWords(compileGlob('*a'.repeat(1_000)), text, { left: 4_000_000 }), true)
  assert.ok(effort.left < 0)
  assert.equal(matchesWhole(compileGlob('a*'), text, effort), false, 'nothing matches any more')
})
