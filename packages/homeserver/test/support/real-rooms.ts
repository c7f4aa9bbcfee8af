import { enterRoom, pdusOf } from './remote-in-room.ts'
import { createRoom, roomPath } from './room-client.ts'
import type { ScriptedRemote } from './scripted-remote.ts'
import type { TestClient } from './test-client.ts'
import type { Member, TestRoom, TestRooms } from './test-rooms.ts'
import type { TestServer } from './test-server.ts'

type Party = { server(name: string): TestServer | undefined; remote(name: string): ScriptedRemote | undefined }

/**
 * `TestRooms` of true rooms: made and joined through the client API by users of Evergreens, entered by the users of scripted
 * remotes. Of the members, the first is a client, on whose server the room is made.
 */
export function createRealRooms(party: Party): Pick<TestRooms, 'share' | 'unshare'> {
  const made: { members: Set<Member>; room: TestRoom }[] = []

  async function share(given: readonly Member[]): Promise<TestRoom> {
    const host = given.find(isClient)
    if (!host) throw new Error('a true room needs a client to make it')
    const server = party.server(serverOf(host))!
    const roomId = await createRoom(host, { preset: 'public_chat' })
    const members = new Set<Member>([host])

    async function join(member: Member): Promise<void> {
      members.add(member)
      if (isClient(member)) {
        const answer = await member.request('POST', `/join/${encodeURIComponent(roomId)}?via=${server.serverName}`, {})
        if (answer.status !== 200) throw new Error(`joining was answered ${answer.status}: ${answer.body.error}`)
        return
      }
      await enterRoom(remoteOf(member), server, roomId, idOf(member))
    }

    async function leave(member: Member): Promise<void> {
      members.delete(member)
      if (isClient(member)) {
        await member.request('POST', roomPath(roomId, 'leave'), {})
        return
      }
      const remote = remoteOf(member)
      const known = remote.rooms.get(roomId)!
      const room = remote.knowRoom(roomId, known.version.id, await pdusOf(server, roomId))
      const userId = idOf(member)
      const gone = room.say({
        type: 'm.room.member',
        sender: userId,
        stateKey: userId,
        content: { membership: 'leave' },
      })
      await remote.sendPdus(server.serverName, [gone.pdu])
    }

    const room = {
      join,
      leave,
      async end() {
        for (const member of [...members].reverse()) await leave(member)
      },
    }
    made.push({ members, room })
    for (const member of given) if (isClient(member) && member !== host) await join(member)
    const strangers = given.filter((member) => !isClient(member))
    for (const [remote, theirs] of Map.groupBy(strangers, remoteOf)) {
      await enterRoom(remote, server, roomId, ...theirs.map(idOf))
      for (const member of theirs) members.add(member)
    }
    return room
  }

  function remoteOf(member: Member): ScriptedRemote {
    const remote = party.remote(serverOf(member))
    if (!remote) throw new Error(`${idOf(member)} is neither a client nor a user of a scripted remote`)
    return remote
  }

  return {
    share,
    async unshare(members) {
      const found = made.find((one) => one.members.symmetricDifference(new Set(members)).size === 0)
      if (!found) throw new Error('no room has exactly these members')
      await found.room.end()
    },
  }
}

const idOf = (member: Member) => (typeof member === 'string' ? member : member.userId)
const serverOf = (member: Member) => idOf(member).slice(idOf(member).indexOf(':') + 1)
const isClient = (member: Member): member is TestClient => typeof member !== 'string' && 'accessToken' in member
