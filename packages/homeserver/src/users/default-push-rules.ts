import type { UserId } from '../matrix/ids.ts'
import type { PushRule, RuleKind } from './push-ruleset.ts'

/** Server-default rules of each kind, the most important first. */
export type DefaultPushRules = Record<RuleKind, PushRule[]>

/** This one outranks the user's own rules; all other defaults come after them. */
export const MASTER_RULE = '.m.rule.master'

const sound = (value: string) => ({ set_tweak: 'sound', value })
const highlight = { set_tweak: 'highlight' }
const is = (key: string, pattern: string) => ({ kind: 'event_match', key, pattern })
const ofType = (type: string) => is('type', type)
const oneToOne = { kind: 'room_member_count', is: '2' }

function rule(name: string, conditions: object[], actions: PushRule['actions'], enabled = true): PushRule {
  return { rule_id: `.m.rule.${name}`, default: true, enabled, conditions, actions }
}

/** The rules that every account starts with. Client-server API, "Predefined Rules". */
export function defaultPushRules(userId: UserId): DefaultPushRules {
  return {
    override: [
      rule('master', [], [], false),
      rule('suppress_notices', [is('content.msgtype', 'm.notice')], []),
      rule(
        'invite_for_me',
        [ofType('m.room.member'), is('content.membership', 'invite'), is('state_key', userId)],
        ['notify', sound('default')],
      ),
      rule('member_event', [ofType('m.room.member')], []),
      rule(
        'is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        ['notify', sound('default'), highlight],
      ),
      rule(
        'is_room_mention',
        [
          { kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true },
          { kind: 'sender_notification_permission', key: 'room' },
        ],
        ['notify', highlight],
      ),
      rule('tombstone', [ofType('m.room.tombstone'), is('state_key', '')], ['notify', highlight]),
      rule('reaction', [ofType('m.reaction')], []),
      rule('room.server_acl', [ofType('m.room.server_acl'), is('state_key', '')], []),
      rule(
        'suppress_edits',
        [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
        [],
      ),
    ],
    content: [],
    room: [],
    sender: [],
    underride: [
      rule('call', [ofType('m.call.invite')], ['notify', sound('ring')]),
      rule('encrypted_room_one_to_one', [oneToOne, ofType('m.room.encrypted')], ['notify', sound('default')]),
      rule('room_one_to_one', [oneToOne, ofType('m.room.message')], ['notify', sound('default')]),
      rule('message', [ofType('m.room.message')], ['notify']),
      rule('encrypted', [ofType('m.room.encrypted')], ['notify']),
    ],
  }
}
