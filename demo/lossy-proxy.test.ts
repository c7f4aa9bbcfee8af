import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLost } from './lossy-proxy.ts'

const send = { method: 'PUT', url: '/_matrix/federation/v1/send/1' }
const body = (edus: string[], pdus: object[] = []) =>
  Buffer.from(JSON.stringify({ pdus, edus: edus.map((edu_type) => ({ edu_type, content: {} })) }))

test('word of devices is lost, and nothing else', () => {
  assert.ok(isLost(send, body(['m.device_list_update'])))
  assert.ok(isLost(send, body(['m.typing', 'm.signing_key_update'])))
  assert.ok(!isLost(send, body(['m.typing', 'm.direct_to_device'])))
  assert.ok(!isLost(send, body(['m.device_list_update'], [{ type: 'm.room.message' }])))
  assert.ok(!isLost({ method: 'GET', url: '/_matrix/federation/v1/user/devices/@bob:there' }, body([])))
})
