import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerName } from './ids.ts'
import { formatXMatrix, parseXMatrix } from './x-matrix.ts'

const origin = 'origin.hs.example.com' as ServerName
const destination = 'destination.hs.example.com' as ServerName
const parts = { origin, destination, keyId: 'ed25519:key1', signature: 'ABCDEF+/' }

test('writes the header as the specification shows it', () => {
  const expected =
    'X-Matrix origin="origin.hs.example.com",destination="destination.hs.example.com",key="ed25519:key1",sig="ABCDEF+/"'
  assert.equal(formatXMatrix(parts), expected)
  assert.deepEqual(parseXMatrix(expected), parts)
})

const good: [name: string, header: string][] = [
  [
    'unquoted values, with colons',
    `X-Matrix origin=${origin},destination=${destination},key=ed25519:key1,sig=ABCDEF+/`,
  ],
  [
    'another order, and a mixture',
    `X-Matrix sig="ABCDEF+/",key=ed25519:key1,destination="${destination}",origin=${origin}`,
  ],
  [
    'names in upper case, spaces and tabs',
    `x-matrix   ORIGIN="${origin}" \t,\t Destination="${destination}" , KEY="ed25519:key1", Sig="ABCDEF+/"`,
  ],
  [
    'escaped characters',
    `X-Matrix origin="origin\\.hs.example.com",destination="${destination}",key="ed25519\\:key1",sig="ABCDEF+/"`,
  ],
  [
    'unknown parameters',
    `X-Matrix origin="${origin}",x-y.z=",\\"",destination="${destination}",key="ed25519:key1",sig="ABCDEF+/",last=1`,
  ],
  [
    'empty list elements',
    `X-Matrix ,origin="${origin}",,destination="${destination}",key="ed25519:key1",sig="ABCDEF+/",`,
  ],
]

for (const [name, header] of good) {
  test(`reads ${name}`, () => assert.deepEqual(parseXMatrix(header), parts))
}

test('reads a header without destination, of an older server', () => {
  const header = `X-Matrix origin=${origin},key="ed25519:key1",sig="ABCDEF+/"`
  assert.deepEqual(parseXMatrix(header), { ...parts, destination: undefined })
})

test('tells a name that is not one of a server', () => {
  for (const names of ['origin="a b"', 'origin="localhost:http"', `origin="${origin}",destination=""`]) {
    assert.equal(parseXMatrix(`X-Matrix ${names},key="ed25519:key1",sig="ABC"`), 'bad name')
  }
})

const bad: [name: string, header: string][] = [
  ['nothing', ''],
  ['another scheme', 'Bearer abc'],
  ['no parameters', 'X-Matrix '],
  ['no space behind the scheme', `X-Matrixorigin=${origin},key=a:b,sig=c`],
  ['no origin', 'X-Matrix key="ed25519:key1",sig="ABC"'],
  ['no key', `X-Matrix origin="${origin}",sig="ABC"`],
  ['an empty signature', `X-Matrix origin="${origin}",key="ed25519:key1",sig=""`],
  ['a parameter twice', `X-Matrix origin="evil.example",origin="${origin}",key="ed25519:key1",sig="ABC"`],
  ['an open quotation', `X-Matrix origin="${origin}",key="ed25519:key1",sig="ABC`],
  ['something between parameters', `X-Matrix origin="${origin}" key="ed25519:key1",sig="ABC"`],
  ['too much', `X-Matrix origin="${origin}",key="ed25519:key1",sig="ABC",more="${'x'.repeat(5_000)}"`],
]

for (const [name, header] of bad) {
  test(`refuses ${name}`, () => assert.equal(parseXMatrix(header), undefined))
}
