import { snapshotOf } from '../../src/device-lists/lists.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { listStates, snapshotRows } from '../../src/storage/device-lists.ts'
import { serverOf } from './company.ts'
import type { Simulation } from './simulation.ts'
import { type Content, contentOf, isSame } from './truth.ts'

/** What servers have of lists, and whether it is right. */
export type Check = {
  /** No list that a server calls fresh may be wrong. @throws otherwise */
  freshOnesAreTrue(): Promise<void>
  /** @returns what is not as it should be in the end, in words: lists that differ from the truth, clients that do not know */
  whatIsWrong(): Promise<string[]>
}

type Kept = { userId: string; fresh: boolean; content: Content | undefined }

export function createCheck({ plan, net, company, truths, clients }: Simulation): Check {
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
        }
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
      return [...(await Promise.all(running().map(wrongLists))).flat(), ...ofClients]
    },
  }
}
