import { NetworkError } from '../../src/platform/network.ts'
import type { TestDatabase } from '../support/databases.ts'
import type { ScriptedRemote } from '../support/scripted-remote.ts'
import { createSeededRandom } from '../support/seeded-random.ts'
import type { TestClient } from '../support/test-client.ts'
import { type TestNetwork, testNetwork } from '../support/test-network.ts'
import type { TestRoom } from '../support/test-rooms.ts'
import { type Company, createCompany, serverOf } from './company.ts'
import { complaints } from './complaints.ts'
import { faultsOf, misbehave } from './misbehave.ts'
import { localOwner, type Owner, remoteOwner } from './owners.ts'
import type { Plan, Step } from './plan.ts'
import { createRemoteSender, type RemoteSender } from './remote-sender.ts'
import { contentOf, createTruth, type Truth } from './truth.ts'
import { createWatchingClient, type WatchingClient } from './watching-client.ts'

/** A run under way: what the plan names, as it is. */
export type Simulation = {
  plan: Plan
  net: TestNetwork<string>
  company: Company
  truths: ReadonlyMap<string, Truth>
  clients: readonly WatchingClient[]
  /** Lets time pass. */
  pass(ms: number): Promise<void>
  /** How much has passed (ms), whatever clocks show. */
  elapsed(): number
  /** Lets one client look for news, as far as that needs no time. */
  look(client: WatchingClient): Promise<void>
  /** Does one step of the plan, and lets whatever can go on go on. */
  take(step: Step): Promise<void>
  /** All faults end: nothing goes wrong from now on, and who is down starts. */
  heal(): Promise<void>
  /** Every client looks for news. */
  lookAll(): void
  /** Asks a server for the keys of all with whom its users share a room. @throws if it names a failure */
  askForAll(name: string): Promise<void>
  /** How often a server was started that was down. */
  restarts(): number
  /** Remote transactions of which it is not yet known whether they were taken. */
  isQuiet(): boolean
  /** @throws whatever has failed that is no failure of the network, and what servers complained of in their logs */
  throwBugs(): void
  stop(): void
}

/** Audits come so often (ms); no list may be wrong for longer, whatever was lost. */
export const AUDIT_INTERVAL_MS = 10 * 60_000

/** Sets everything up that the plan names, with nothing wrong yet. */
export async function createSimulation(plan: Plan, database: TestDatabase): Promise<Simulation> {
  const log = complaints()
  const net = await testNetwork(plan.evergreens, {
    database,
    seed: plan.seed,
    log: log.logger,
    settings: { deviceLists: { auditInterval: AUDIT_INTERVAL_MS, silenceSuspect: plan.silenceSuspect } },
  })
  const bugs: unknown[] = []
  let elapsed = 0
  let restarts = 0
  const random = createSeededRandom(`${plan.seed} owners`)
  const company = createCompany(plan.rooms)
  const truths = new Map(plan.users.map((userId) => [userId, createTruth()]))
  const remotes = new Map<string, ScriptedRemote>()
  const senders = new Map<string, RemoteSender>()
  const owners = new Map<string, Owner>()
  const clients = new Map<string, WatchingClient>()
  const clientOf = new Map<string, TestClient>()
  let unmet: { member: string; others: readonly string[] }[] = []
  const held = new Map<string, { release(): void }>()
  const onBug = (error: unknown) => void bugs.push(error)

  for (const name of plan.remotes) {
    const remote = net.remote(name)
    remotes.set(name, remote)
    senders.set(name, createRemoteSender(remote, net.clock, onBug))
  }
  for (const userId of plan.users) {
    const [name, localpart] = [serverOf(userId), userId.slice(1, userId.indexOf(':'))]
    const remote = remotes.get(name)
    if (remote) {
      const user = remote.addUser(localpart)
      user.addDevice('FIRST')
      owners.set(userId, remoteOwner(user))
    } else {
      const server = net.servers[name]!
      const client = await server.register(localpart)
      // From its first sync on it hears of what changes.
      await client.sync()
      owners.set(userId, localOwner(server, client, random))
      clients.set(userId, createWatchingClient(client, server.isRunning))
      clientOf.set(userId, client)
    }
    await record(userId)
  }
  const rooms: TestRoom[] = []
  for (const members of plan.rooms) {
    rooms.push(await net.rooms.share(members))
    for (const member of members) clients.get(member)?.met(members)
  }
  const sends = watchSends()
  await net.settle()

  /** What is said to Evergreens, and whether they took it: from then on they have to know. */
  function watchSends() {
    type Said = { edu: unknown; epoch: number; truth: Truth }
    let open: { seen: Parameters<Parameters<typeof net.network.intercept>[0]>[0]; said: Said[] }[] = []
    net.network.intercept((seen) => {
      if (!seen.path.startsWith('/_matrix/federation/v1/send/') || !plan.evergreens.includes(seen.to)) return 'pass'
      const said = (seen.body?.edus ?? []).flatMap((edu: { content?: { user_id?: string } }) => {
        const truth = truths.get(edu.content?.user_id ?? '')
        return truth ? [{ edu, truth, epoch: truth.epoch() }] : []
      })
      open.push({ seen, said })
      return 'pass'
    })
    return {
      note() {
        for (const { seen, said } of open) {
          if (seen.outcome !== 200) continue
          for (const { edu, epoch, truth } of said) noteTold(truth, seen.to, edu as never, epoch)
        }
        open = open.filter(({ seen }) => seen.outcome === undefined)
      },
    }
  }

  async function record(userId: string): Promise<void> {
    const list = await owners.get(userId)!.list()
    if (list) truths.get(userId)!.record(list, elapsed)
  }

  /** Without waiting: it may need time to pass. */
  function begin(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof NetworkError)) onBug(error)
    })
  }

  async function changeDevices({ user, change, news, pick }: Extract<Step, { kind: 'change' }>): Promise<void> {
    const edu = await owners.get(user)!.change(change, pick)
    await record(user)
    const sender = senders.get(serverOf(user))
    if (!edu || !sender || news === 'hidden') return
    const destinations = company.servers(user).filter((name) => plan.evergreens.includes(name))
    if (news === 'told') sender.send(destinations, edu)
    else sender.sendAlone(destinations, edu)
  }

  async function changeRoom({ kind, room, user }: Extract<Step, { kind: 'join' | 'leave' }>): Promise<void> {
    if (company.isIn(room, user) === (kind === 'join')) return
    company[kind](room, user)
    await rooms[room]![kind](user)
    if (kind === 'leave') return
    const members = company.members(room)
    for (const member of members) meet(member, member === user ? members : [user])
  }

  /** A server that is down, or died of it, takes the news in when it starts: true rooms tell its clients then. */
  function meet(member: string, others: readonly string[]): void {
    clients.get(member)?.met(others)
    if (net.servers[serverOf(member)]?.isRunning() === false) unmet.push({ member, others })
  }

  async function start(name: string): Promise<void> {
    const server = net.servers[name]!
    if (server.isRunning()) return
    await server.start()
    restarts++
    for (const { member, others } of unmet) if (serverOf(member) === name) clients.get(member)!.met(others)
    unmet = unmet.filter(({ member }) => serverOf(member) !== name)
    for (const userId of plan.users) if (serverOf(userId) === name) await record(userId)
  }

  async function rebuild(name: string): Promise<void> {
    senders.get(name)!.forget()
    remotes.get(name)!.rebuild()
    for (const userId of plan.users) {
      if (serverOf(userId) !== name) continue
      truths.get(userId)!.beginEpoch()
      await record(userId)
    }
  }

  function behave(name: string): void {
    remotes.get(name)!.answerNormally()
    held.get(name)?.release()
    held.delete(name)
  }

  async function act(step: Step): Promise<void> {
    switch (step.kind) {
      case 'change':
        return changeDevices(step)
      case 'join':
      case 'leave':
        return changeRoom(step)
      case 'trouble':
        return net.network.fault(step.from, step.to, faultsOf(step.trouble))
      case 'release':
        return net.network.release()
      case 'misbehave': {
        const holding = misbehave(remotes.get(step.remote)!, step.how, step.times)
        if (!holding) return
        held.get(step.remote)?.release()
        held.set(step.remote, holding)
        return
      }
      case 'behave':
        return behave(step.remote)
      case 'kill': {
        const server = net.servers[step.server]!
        if (server.isRunning()) server.killAt(step.calls, step.moment)
        return
      }
      case 'stop': {
        const server = net.servers[step.server]!
        if (server.isRunning()) begin(server.stop())
        return
      }
      case 'start':
        return start(step.server)
      case 'rebuild':
        return rebuild(step.remote)
      case 'jump':
        return net.clock.set(net.clock.now() + step.ms)
      case 'refresh':
        return begin(clients.get(step.user)!.refresh(step.target))
      case 'look':
        return begin(clients.get(step.user)!.look())
    }
  }

  return {
    plan,
    net,
    company,
    truths,
    clients: [...clients.values()],
    elapsed: () => elapsed,
    async pass(ms) {
      await net.advance(ms)
      elapsed += ms
      sends.note()
    },
    async look(client) {
      begin(client.look())
      await net.settle()
      sends.note()
    },
    async take(step) {
      await act(step)
      await net.settle()
      sends.note()
    },
    async heal() {
      for (const name of plan.remotes) behave(name)
      net.network.heal()
      for (const name of plan.evergreens) {
        if (net.servers[name]!.isRunning()) net.servers[name]!.killAt(Number.POSITIVE_INFINITY, 'before')
        await start(name)
      }
      await net.settle()
      sends.note()
    },
    lookAll() {
      for (const client of clients.values()) begin(client.look())
      sends.note()
    },
    async askForAll(name) {
      const asking = plan.users.find((userId) => serverOf(userId) === name)!
      const wanted = Object.fromEntries(company.remoteUsers(name).map((userId) => [userId, []]))
      const { body } = await clientOf.get(asking)!.request('POST', '/keys/query', { device_keys: wanted })
      if (Object.keys(body.failures ?? {}).length > 0)
        throw new Error(`${name} names failures when all lists are right`)
    },
    restarts: () => restarts,
    isQuiet: () => [...senders.values()].every((sender) => sender.isIdle()),
    throwBugs() {
      log.throwFirst()
      if (bugs.length > 0) throw bugs[0]
    },
    stop() {
      for (const sender of senders.values()) sender.forget()
    },
  }
}

type ToldEdu = { edu_type: string; content: { stream_id?: number; master_key?: object; self_signing_key?: object } }

/** A server has taken an EDU: from now on it has to know what it says. */
function noteTold(truth: Truth, server: string, { edu_type, content }: ToldEdu, epoch: number): void {
  if (edu_type === 'm.device_list_update') truth.toldDevices(server, epoch, content.stream_id!)
  if (edu_type !== 'm.signing_key_update') return
  const { master_key: masterKey = null, self_signing_key: selfSigningKey = null } = content
  truth.toldSigning(server, contentOf({ deviceKeys: new Map(), masterKey, selfSigningKey } as never).signing)
}
