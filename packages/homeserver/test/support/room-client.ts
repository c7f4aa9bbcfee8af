import type { TestClient } from './test-client.ts'

const idPart = encodeURIComponent

/** Makes a room. @returns its ID @throws unless the server answers 200 */
export async function createRoom(client: TestClient, wish: object = {}): Promise<string> {
  const { status, body } = await client.request('POST', '/createRoom', wish)
  if (status !== 200) throw new Error(`createRoom answered ${status}: ${JSON.stringify(body)}`)
  return body.room_id
}

/** The path of something in a room, such as `roomPath(roomId, 'state', 'm.room.name')`. */
export function roomPath(roomId: string, ...rest: string[]): string {
  return ['/rooms', ...[roomId, ...rest].map(idPart)].join('/')
}

export const aliasPath = (alias: string) => `/directory/room/${idPart(alias)}`
