import { snapshotOf } from '../../src/device-lists/lists.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { listStates, snapshotRows } from '../../src/storage/device-lists.ts'
import { serverOf } from './company.ts'
import { AUDIT_INTERVAL_MS, type Simulation } from './simulation.ts'
import { type Content, contentOf, isSame } from './truth.ts'
import type { WatchingClient } from './watching-client.ts'

/** After the faults have ended, everything is right within this time (ms): an audit, or the longest wait between two retries. */
export const BOUND_MS = AUDIT_INTERVAL_MS + 2 * 60_000

/** What servers have of lists, and whether it is right. */
export type Check = {
  /**
   * No list that a server calls fresh may be wrong; one whose change nobody told it of may, for as long as an audit takes.
   * @throws otherwise
   */
  freshOnesAreTrue(): Promise<void>
  /** A client that has just looked for news believes what its server has, or knows that it does not know. @throws otherwise */
  isUpToDate(client: WatchingClient): Promise<void>
  /** @returns what is not as it should be in the end, in words: lists that differ from the truth, clients that do not know */
  whatIsWrong(): Promise<string[]>
}

type Kept = { userId: string; fresh: boolean; content: Content | undefined }

export function createCheck(run: Simulation): Check {
  const { plan, net, company, truths, clients } = run
  /** Digests by text: most lists stay as they are from one look to the next. */
  const contents = new Map<string, Content>()

  /** The lists of users with whom a room is shared, as a server has them. */
  async function listsOf(name: string): Promise<Kept[]> {
    const userIds = company.remoteUsers(name) as UserId[]
    const [states, lists] = await net.servers[name]!.look(({ ctx: { store } }) =>
      Promise.all([listStates(store.db, userIds), snapshotRows(store.db, userIds)]),
    )
    return userIds.map((userId) => {
      const [state, list] = [states.get(userId), lists.get(userId)]
      const fresh = state?.tracked === 1 && state.wanted_gen === state.synced_gen
      return { userId, fresh, content: list && contentIn(list) }
    })
  }

  function contentIn(row: Parameters<typeof snapshotOf>[0]): Content {
    const text = `${row.device_keys} ${row.master_key} ${row.self_signing_key}`
    const content = contents.get(text) ?? contentOf(snapshotOf(row, 0))
    contents.set(text, content)
    return content
  }

  const running = () => plan.evergreens.filter((name) => net.servers[name]!.isRunning())
  /** What an Evergreen that is down has written last is not known. */
  const isKnown = (userId: string) => net.servers[serverOf(userId)]?.isRunning() ?? true

  async function wrongLists(name: string): Promise<string[]> {
    return (await listsOf(name)).flatMap(({ userId, fresh, content }) => {
      const now = truths.get(userId)!.now()!
      if (fresh && content && isSame(content, now)) return []
      return [`${name} has ${userId} ${fresh ? 'fresh and wrong' : 'stale'}`]
    })
  }

  return {
    async freshOnesAreTrue() {
      for (const name of running()) {
        for (const { userId, fresh, content } of await listsOf(name)) {
          if (!fresh || !isKnown(userId)) continue
          const problem = content ? truths.get(userId)!.problemOf(name, content) : 'there is no list'
          if (problem) throw new Error(`${name} calls the list of ${userId} fresh, and ${problem}`)
          const since = truths.get(userId)!.outdatedSince(content!)
          if (since !== undefined && run.elapsed() - since > BOUND_MS)
            throw new Error(`${name} calls the list of ${userId} fresh, and it has been out of date since ${since}`)
        }
      }
    },
    async isUpToDate(client) {
      const name = serverOf(client.userId)
      const position = () => net.servers[name]!.look(({ ctx: { store } }) => store.position())
      // The first look takes in all that there is; if nothing has happened until the end of the second, nothing is on its way.
      await run.look(client)
      if (client.isBusy() || !net.servers[name]!.isRunning()) return
      const before = await position()
      await run.look(client)
      if (client.isBusy() || !net.servers[name]!.isRunning() || (await position()) !== before) return
      const theirs = company.of(client.userId)
      for (const { userId, content } of await listsOf(name)) {
        const known = client.keysOf(userId)
        if (!theirs.has(userId) || !known || !content || isSame(known, content)) continue
        throw new Error(`${client.userId} was not told that ${name} has another list of ${userId}`)
      }
    },
    async whatIsWrong() {
      const ofClients = clients.flatMap((client) =>
        [...company.of(client.userId)].flatMap((userId) => {
          const known = client.keysOf(userId)
          if (known && isSame(known, truths.get(userId)!.now()!)) return []
          return [`${client.userId} ${known ? 'believes wrong keys of' : 'has no keys of'} ${userId}`]
        }),
      )
      const owed = clients.flatMap((client) =>
        client.owed().map((userId) => `${client.userId} was never told how its refresh ended: ${userId}`),
      )
      return [...(await Promise.all(running().map(wrongLists))).flat(), ...ofClients, ...owed]
    },
  }
}
