/** What redaction leaves of an event. Room versions, "Redactions". */
export type RedactionRules = {
  /** Members of the event that stay. */
  readonly members: ReadonlySet<string>
  /** Members of `content` that stay, by event type; of other types none does. */
  readonly content: ReadonlyMap<string, readonly string[] | 'all'>
  /** Whether `signed` of an `m.room.member`'s `third_party_invite` stays. */
  readonly keepsSignedThirdPartyInvite: boolean
}

const MEMBERS = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
]

const POWER_LEVELS = ['ban', 'events', 'events_default', 'kick', 'redact', 'state_default', 'users', 'users_default']

/** Room versions 1 to 5. */
export const REDACTION_V1: RedactionRules = {
  members: new Set([...MEMBERS, 'prev_state', 'origin', 'membership']),
  content: new Map([
    ['m.room.member', ['membership']],
    ['m.room.create', ['creator']],
    ['m.room.join_rules', ['join_rule']],
    ['m.room.power_levels', POWER_LEVELS],
    ['m.room.aliases', ['aliases']],
    ['m.room.history_visibility', ['history_visibility']],
  ]),
  keepsSignedThirdPartyInvite: false,
}

/** Room versions 6 and 7: aliases mean nothing any more. */
export const REDACTION_V6: RedactionRules = {
  ...REDACTION_V1,
  content: new Map([...REDACTION_V1.content].filter(([type]) => type !== 'm.room.aliases')),
}

/** Room version 8: what a restricted join rule allows stays. */
export const REDACTION_V8: RedactionRules = {
  ...REDACTION_V6,
  content: new Map([...REDACTION_V6.content, ['m.room.join_rules', ['join_rule', 'allow']]]),
}

/** Room versions 9 and 10: so does who authorised a restricted join. */
export const REDACTION_V9: RedactionRules = {
  ...REDACTION_V8,
  content: new Map([...REDACTION_V8.content, ['m.room.member', ['membership', 'join_authorised_via_users_server']]]),
}

/** Room versions 11 and 12. */
export const REDACTION_V11: RedactionRules = {
  members: new Set(MEMBERS),
  content: new Map<string, readonly string[] | 'all'>([
    ...REDACTION_V9.content,
    ['m.room.create', 'all'],
    ['m.room.power_levels', [...POWER_LEVELS, 'invite']],
    ['m.room.redaction', ['redacts']],
  ]),
  keepsSignedThirdPartyInvite: true,
}
