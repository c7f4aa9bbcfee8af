// A bot that keeps device lists fresh, and refreshes one when it is told to: "!refresh @bob:example.org".

import { refreshDeviceList, watch } from '@evergreen/client'
import { ClientEvent, createClient, KnownMembership, MatrixEventEvent, RoomEvent } from 'matrix-js-sdk'

const { BASE_URL, USER_ID, DEVICE_ID, ACCESS_TOKEN } = process.env as Record<string, string>
const client = createClient({ baseUrl: BASE_URL!, userId: USER_ID!, deviceId: DEVICE_ID!, accessToken: ACCESS_TOKEN! })
await client.initRustCrypto({ useIndexedDB: false })

const stopWatching = watch(client, { onError: console.error })

client.on(RoomEvent.MyMembership, async (room, membership) => {
  if (membership === KnownMembership.Invite) await client.joinRoom(room.roomId)
})

client.on(MatrixEventEvent.Decrypted, async (event) => {
  const [command, userId] = String(event.getContent().body).split(' ')
  if (event.getSender() === USER_ID || command !== '!refresh' || !userId) return
  const refresh = await refreshDeviceList(client, userId, { keepTrying: true, timeoutMs: 60_000 })
  const answer = refresh.outcome === 'failed' ? refresh.reason : refresh.outcome
  await client.sendTextMessage(event.getRoomId()!, `${userId}: ${answer}`)
})

client.once(ClientEvent.Sync, () => console.log('The bot is there.'))
await client.startClient({ initialSyncLimit: 1 })

process.once('SIGTERM', () => {
  stopWatching()
  client.stopClient()
  process.exit()
})
