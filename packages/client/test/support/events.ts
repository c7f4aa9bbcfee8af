import { ClientEvent, type MatrixClient, MatrixEventEvent, type Room, RoomStateEvent } from 'matrix-js-sdk'

/** Resolves once `check` holds of a client, which is looked at after each sync, change of a room's state and decryption. */
export function when<T>(client: MatrixClient, check: () => T | undefined | null | false): Promise<T> {
  return new Promise((resolve) => {
    const look = () => {
      const answer = check()
      if (answer === undefined || answer === null || answer === false) return
      client.off(ClientEvent.Sync, look)
      client.off(RoomStateEvent.Events, look)
      client.off(MatrixEventEvent.Decrypted, look)
      resolve(answer)
    }
    client.on(ClientEvent.Sync, look)
    client.on(RoomStateEvent.Events, look)
    client.on(MatrixEventEvent.Decrypted, look)
    look()
  })
}

/** Resolves once a user has this membership in a room, as the client sees it. */
export function whenMember(
  client: MatrixClient,
  roomId: string,
  userId: string,
  membership: 'join' | 'invite',
): Promise<Room> {
  return when(client, () => {
    const room = client.getRoom(roomId)
    return room?.getMember(userId)?.membership === membership && room
  })
}

/** Collects values, and lets a test wait for one of them. */
export function createLog<T>(): { all: T[]; add(value: T): void; find(check: (value: T) => boolean): Promise<T> } {
  const all: T[] = []
  let waiting: (() => void)[] = []
  return {
    all,
    add(value) {
      all.push(value)
      for (const look of waiting.splice(0)) look()
    },
    async find(check) {
      for (;;) {
        const found = all.find(check)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => {
          waiting = [...waiting, resolve]
        })
      }
    },
  }
}
