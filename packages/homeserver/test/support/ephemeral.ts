import { createEphemeral, type Ephemeral } from '../../src/ephemeral/ephemeral.ts'
import type { EphemeralParts } from '../../src/ephemeral/ports.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import { silentLogger } from '../../src/platform/logger.ts'
import { type Accounts, accountsOn, SERVER_NAME } from './accounts.ts'
import type { TestDatabase } from './databases.ts'
import { createFakeRooms, type FakeRooms } from './fake-rooms.ts'

type EphemeralTest = Accounts & {
  ephemeral: Ephemeral
  rooms: FakeRooms
  /** Destinations that the sender was woken for. */
  wokenFor: ServerName[]
  /** Takes what is queued for a server, as the sender does, and delivers it. */
  delivered(server: string): Promise<{ type: string; content: unknown }[]>
}

/** Accounts, and what happens in rooms that a test fills by hand; the timers run between `start` and `stop`. */
export async function ephemeralOn(
  database: TestDatabase,
  onRead: EphemeralParts['onRead'] = async () => {},
): Promise<EphemeralTest> {
  const store = await database.open()
  const rooms = createFakeRooms(SERVER_NAME)
  const wokenFor: ServerName[] = []
  let ephemeral: Ephemeral | undefined
  const accounts = await accountsOn(store, {
    settle: database.settle,
    context({ users, clock }) {
      ephemeral = createEphemeral({
        store,
        clock,
        log: silentLogger,
        serverName: SERVER_NAME,
        rooms,
        fullyRead: users.fullyRead,
        onRead,
        wakeSender: (destinations) => void wokenFor.push(...destinations),
      })
      return { ephemeral }
    },
  })
  const { outgoing } = ephemeral!
  return {
    ...accounts,
    ephemeral: ephemeral!,
    rooms,
    wokenFor,
    async delivered(server) {
      const batch = await outgoing.take(server as ServerName, 100)
      await store.transaction((tx) => batch.delivered(tx))
      return batch.edus.map(({ edu_type: type, content }) => ({ type, content }))
    },
  }
}
