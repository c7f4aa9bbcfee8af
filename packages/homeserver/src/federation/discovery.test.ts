import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { jsonResponse, textResponse } from '../../test/support/responses.ts'
import { createSeededRandom } from '../../test/support/seeded-random.ts'
import type { ServerName } from '../matrix/ids.ts'
import { type HttpRequest, type HttpResponse, type Network, NetworkError, type SrvRecord } from '../platform/network.ts'
import { createDiscovery, type Discovery, type Route } from './discovery.ts'

/** What the world looks like. Pages are by `host[:port]/path`. */
type World = {
  addresses?: Record<string, string[]>
  srv?: Record<string, SrvRecord[] | 'broken'>
  pages?: Record<string, HttpResponse | NetworkError>
}

const delegatesTo = (name: string, headers = {}) => jsonResponse(200, { 'm.server': name }, headers)
const redirectsTo = (location: string, status = 302) => textResponse(status, '', { location })
const target = (name: string, port: number, priority = 0): SrvRecord => ({ name, port, priority, weight: 1 })
const WELL_KNOWN = '/.well-known/matrix/server'

let clock: FakeClock
let asked: HttpRequest[]
let lookedUp: string[]

beforeEach(() => {
  clock = createFakeClock()
  asked = []
  lookedUp = []
})

function networkOf(world: World): Network {
  return {
    async http(request) {
      asked.push(request)
      const page = world.pages?.[request.host + request.path]
      if (page instanceof NetworkError) throw page
      if (!page) throw new NetworkError('connection', 'refused')
      return page
    },
    dns: {
      async addresses(name) {
        lookedUp.push(name)
        const found = world.addresses?.[name]
        if (!found) throw new NetworkError('name', `no ${name}`)
        return found
      },
      async srv(name) {
        lookedUp.push(name)
        const found = world.srv?.[name] ?? []
        if (found === 'broken') throw new NetworkError('name', 'SERVFAIL')
        return found
      },
    },
  }
}

function discoveryIn(world: World, allowPrivate = false): Discovery {
  return createDiscovery({ network: networkOf(world), clock, random: createSeededRandom('d'), allowPrivate })
}

const resolve = (world: World, name: string, allowPrivate = false) =>
  discoveryIn(world, allowPrivate).resolve(name as ServerName)

function failsWith(failure: string) {
  return (error: unknown) => error instanceof NetworkError && error.failure === failure
}

describe('the steps of the specification', () => {
  const addresses = {
    'a.example': ['1.0.0.1', '2606:4700::1'],
    'b.example': ['1.0.0.2'],
    's.example': ['1.0.0.3'],
    't.example': ['1.0.0.4'],
  }
  const aDelegates = (name: string) => ({ [`a.example${WELL_KNOWN}`]: delegatesTo(name) })
  const steps: [step: string, name: string, world: World, route: Route][] = [
    ['1: IPv4 literal', '1.2.3.4', {}, { addresses: ['1.2.3.4'], port: 8448, tlsName: '1.2.3.4', host: '1.2.3.4' }],
    [
      '1: IPv4 literal with port',
      '1.2.3.4:99',
      {},
      { addresses: ['1.2.3.4'], port: 99, tlsName: '1.2.3.4', host: '1.2.3.4:99' },
    ],
    [
      '1: IPv6 literal',
      '[2606:4700::1]',
      {},
      { addresses: ['2606:4700::1'], port: 8448, tlsName: '2606:4700::1', host: '[2606:4700::1]' },
    ],
    [
      '1: IPv6 literal with port',
      '[2606:4700::1]:99',
      {},
      { addresses: ['2606:4700::1'], port: 99, tlsName: '2606:4700::1', host: '[2606:4700::1]:99' },
    ],
    [
      '2: explicit port, neither .well-known nor SRV',
      'a.example:99',
      { pages: aDelegates('b.example'), srv: { '_matrix-fed._tcp.a.example': [target('s.example', 1)] } },
      { addresses: addresses['a.example'], port: 99, tlsName: 'a.example', host: 'a.example:99' },
    ],
    [
      '3.1: delegated to an IP literal',
      'a.example',
      { pages: aDelegates('1.2.3.4') },
      { addresses: ['1.2.3.4'], port: 8448, tlsName: '1.2.3.4', host: '1.2.3.4' },
    ],
    [
      '3.1: delegated to an IP literal with port',
      'a.example',
      { pages: aDelegates('[2606:4700::1]:99') },
      { addresses: ['2606:4700::1'], port: 99, tlsName: '2606:4700::1', host: '[2606:4700::1]:99' },
    ],
    [
      '3.2: delegated to a name with port, no SRV',
      'a.example',
      { pages: aDelegates('b.example:99'), srv: { '_matrix-fed._tcp.b.example': [target('s.example', 1)] } },
      { addresses: ['1.0.0.2'], port: 99, tlsName: 'b.example', host: 'b.example:99' },
    ],
    [
      '3.3: delegated to a name, SRV _matrix-fed',
      'a.example',
      {
        pages: aDelegates('b.example'),
        srv: {
          '_matrix-fed._tcp.b.example': [target('s.example', 77)],
          '_matrix._tcp.b.example': [target('t.example', 66)],
        },
      },
      { addresses: ['1.0.0.3'], port: 77, tlsName: 'b.example', host: 'b.example' },
    ],
    [
      '3.4: delegated to a name, SRV _matrix',
      'a.example',
      { pages: aDelegates('b.example'), srv: { '_matrix._tcp.b.example': [target('t.example', 66)] } },
      { addresses: ['1.0.0.4'], port: 66, tlsName: 'b.example', host: 'b.example' },
    ],
    [
      '3.5: delegated to a name, no SRV',
      'a.example',
      { pages: aDelegates('b.example') },
      { addresses: ['1.0.0.2'], port: 8448, tlsName: 'b.example', host: 'b.example' },
    ],
    [
      '4: no .well-known, SRV _matrix-fed',
      'a.example',
      {
        srv: {
          '_matrix-fed._tcp.a.example': [target('s.example', 77)],
          '_matrix._tcp.a.example': [target('t.example', 66)],
        },
      },
      { addresses: ['1.0.0.3'], port: 77, tlsName: 'a.example', host: 'a.example' },
    ],
    [
      '5: no .well-known, SRV _matrix',
      'a.example',
      { srv: { '_matrix._tcp.a.example': [target('t.example', 66)] } },
      { addresses: ['1.0.0.4'], port: 66, tlsName: 'a.example', host: 'a.example' },
    ],
    [
      '6: neither',
      'a.example',
      { pages: { [`a.example${WELL_KNOWN}`]: textResponse(200, 'no JSON') } },
      { addresses: addresses['a.example'], port: 8448, tlsName: 'a.example', host: 'a.example' },
    ],
    [
      '6: SRV that cannot be looked up',
      'a.example',
      { srv: { '_matrix-fed._tcp.a.example': 'broken', '_matrix._tcp.a.example': 'broken' } },
      { addresses: addresses['a.example'], port: 8448, tlsName: 'a.example', host: 'a.example' },
    ],
  ]
  for (const [step, name, world, route] of steps) {
    test(step, async () => {
      assert.deepEqual(await resolve({ addresses, ...world }, name), route)
    })
  }

  test('a literal or a port looks up nothing else', async () => {
    await resolve({ addresses }, '1.2.3.4')
    await resolve({ addresses }, 'a.example:99')
    assert.deepEqual(lookedUp, ['a.example'])
    assert.deepEqual(asked, [])
  })

  test('SRV targets are taken by priority; those behind the same port follow each other', async () => {
    const srv = {
      '_matrix-fed._tcp.a.example': [
        target('t.example', 77, 20),
        target('gone.example', 77, 5),
        target('b.example', 66, 15),
        target('s.example', 77, 10),
      ],
    }
    const { addresses: found, port } = await resolve({ addresses, srv }, 'a.example')
    assert.deepEqual([found, port], [['1.0.0.3', '1.0.0.4'], 77])
  })

  test('the .well-known request is an ordinary one', async () => {
    await resolve({ addresses, pages: aDelegates('b.example') }, 'a.example')
    const { addresses: to, port, tlsName, host, path, maxBytes } = asked[0]!
    assert.deepEqual(to, addresses['a.example'])
    assert.deepEqual(
      { port, tlsName, host, path },
      { port: 443, tlsName: 'a.example', host: 'a.example', path: WELL_KNOWN },
    )
    assert(maxBytes <= 51_200)
  })
})

describe('redirects of .well-known', () => {
  const addresses = {
    'a.example': ['1.0.0.1'],
    'b.example': ['1.0.0.2'],
    'c.example': ['1.0.0.3'],
    inside: ['10.0.0.1'],
  }

  test('are followed, to other hosts and ports too', async () => {
    const pages = {
      [`a.example${WELL_KNOWN}`]: redirectsTo('https://c.example:444/x?y', 308),
      'c.example:444/x?y': redirectsTo('/z', 301),
      'c.example:444/z': delegatesTo('b.example:99'),
    }
    assert.equal((await resolve({ addresses, pages }, 'a.example')).host, 'b.example:99')
    const hops = asked.map(({ addresses: [address], port, tlsName, path }) => `${address} ${port} ${tlsName} ${path}`)
    assert.deepEqual(hops, [
      `1.0.0.1 443 a.example ${WELL_KNOWN}`,
      '1.0.0.3 444 c.example /x?y',
      '1.0.0.3 444 c.example /z',
    ])
  })

  const deadEnds: [name: string, location: string][] = [
    ['in a circle', `https://a.example${WELL_KNOWN}`],
    ['to plain http', `http://c.example${WELL_KNOWN}`],
    ['to nowhere', 'https://'],
    ['to a name inside', 'https://inside/'],
    ['to an address inside', 'https://127.0.0.1:8008/'],
    ['to an address inside, in disguise', 'https://0x7f.1/'],
    ['to an IPv6 address inside', 'https://[::1]/'],
  ]
  for (const [name, location] of deadEnds) {
    test(`${name} count as no delegation`, async () => {
      const pages = {
        [`a.example${WELL_KNOWN}`]: redirectsTo(location),
        [`c.example${WELL_KNOWN}`]: delegatesTo('b.example'),
      }
      assert.equal((await resolve({ addresses, pages }, 'a.example')).host, 'a.example')
      assert(asked.length <= 6)
      for (const { addresses: to } of asked) assert.deepEqual(to, ['1.0.0.1'])
    })
  }
})

describe('addresses that are not public', () => {
  const addresses = { inside: ['10.0.0.1', 'fd00::1'], mixed: ['192.168.0.1', '1.0.0.1'], 'a.example': ['1.0.0.1'] }
  const refused: [name: string, serverName: string, world: World][] = [
    ['a literal', '127.0.0.1:8448', {}],
    ['an IPv6 literal', '[::1]', {}],
    ['an IPv4 literal inside of an IPv6 one', '[::ffff:127.0.0.1]', {}],
    ['a name', 'inside', {}],
    ['a delegation', 'a.example', { pages: { [`a.example${WELL_KNOWN}`]: delegatesTo('inside') } }],
    ['an SRV record', 'a.example', { srv: { '_matrix-fed._tcp.a.example': [target('inside', 80)] } }],
  ]
  for (const [name, serverName, world] of refused) {
    test(`${name}: refused unless allowed`, async () => {
      await assert.rejects(resolve({ addresses, ...world }, serverName), failsWith('forbidden_address'))
      assert((await resolve({ addresses, ...world }, serverName, true)).addresses.length > 0)
    })
  }

  test('beside public ones they are left out', async () => {
    assert.deepEqual((await resolve({ addresses }, 'mixed')).addresses, ['1.0.0.1'])
  })
})

describe('what is remembered', () => {
  const addresses = { 'a.example': ['1.0.0.1'], 'b.example': ['1.0.0.2'] }
  const name = 'a.example' as ServerName

  test('addresses for a minute, .well-known for longer', async () => {
    const discovery = discoveryIn({ addresses, pages: { [`a.example${WELL_KNOWN}`]: delegatesTo('b.example:1') } })
    assert.equal(discovery.known(name), undefined)
    const route = await discovery.resolve(name)
    assert.equal(discovery.known(name), route)
    await discovery.resolve(name)
    assert.deepEqual(lookedUp, ['a.example', 'b.example'])
    await clock.advance(60_000)
    await discovery.resolve(name)
    assert.deepEqual(lookedUp, ['a.example', 'b.example', 'b.example'])
    assert.equal(asked.length, 1)
    await clock.advance(24 * 3_600_000)
    await discovery.resolve(name)
    assert.equal(asked.length, 2)
  })

  test('lookups of the same name at the same time are one', async () => {
    const discovery = discoveryIn({ addresses })
    const routes = await Promise.all(Array.from({ length: 20 }, () => discovery.resolve(name)))
    assert.equal(new Set(routes).size, 1)
    assert.equal(asked.length, 1)
  })

  test('a failure is not remembered, and shared only while it happens', async () => {
    const world: World = {}
    const discovery = discoveryIn(world)
    const both = await Promise.allSettled([discovery.resolve(name), discovery.resolve(name)])
    assert.deepEqual(
      both.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    world.addresses = addresses
    assert.equal((await discovery.resolve(name)).port, 8448)
  })

  test('nothing for longer because the clock was set back', async () => {
    const discovery = discoveryIn({ addresses })
    await discovery.resolve(name)
    clock.set(clock.now() - 3_600_000)
    assert.equal(discovery.known(name), undefined)
  })
})
