/** Something that lets a device list look stale. */
export type StaleSign =
  /** The user has no device at all, so that nobody can encrypt for them. */
  | { sign: 'noDevices' }
  /** The user has cross-signing keys, and has signed none of these devices with them. */
  | { sign: 'unsignedDevices'; deviceIds: string[] }
  /** The user sent what we cannot decrypt, from devices that the list does not have. */
  | { sign: 'unknownSenderDevice'; events: UndecryptableEvent[] }
  /** The homeserver says of the user's server that it could not be asked (`failures` of `/keys/query`). */
  | { sign: 'serverFailure'; serverName: string }

/** Where an event is, and of which device it says to be. */
export type UndecryptableEvent = { roomId: string; eventId: string; deviceId: string | null; senderKey: string | null }

/** A device of the list as far as signs go. */
export type SeenDevice = {
  deviceId: string
  identityKey: string | undefined
  /** IDs of the owner's keys that have signed it, such as `ed25519:DEVICE`. */
  signedBy: readonly string[]
}

/** What a client can see of a user. */
export type SeenUser = {
  devices: readonly SeenDevice[]
  /** ID of the key with which the user signs their own devices, if they have one: `ed25519:…`. */
  selfSigningKeyId: string | undefined
  undecryptable: readonly UndecryptableEvent[]
  /** The user's server, if the homeserver could not ask it. */
  failedServer: string | undefined
}

/** Which signs there are that the list of a user is stale. */
export function signsOf({ devices, selfSigningKeyId, undecryptable, failedServer }: SeenUser): StaleSign[] {
  const signs: StaleSign[] = []
  if (failedServer !== undefined) signs.push({ sign: 'serverFailure', serverName: failedServer })
  else if (devices.length === 0) signs.push({ sign: 'noDevices' })

  const isSigned = ({ signedBy }: SeenDevice) => signedBy.includes(selfSigningKeyId!)
  if (selfSigningKeyId !== undefined && devices.length > 0 && !devices.some(isSigned)) {
    signs.push({ sign: 'unsignedDevices', deviceIds: devices.map(({ deviceId }) => deviceId) })
  }

  const events = undecryptable.filter((event) => isOfUnknownDevice(event, devices))
  if (events.length > 0) signs.push({ sign: 'unknownSenderDevice', events })
  return signs
}

function isOfUnknownDevice({ deviceId, senderKey }: UndecryptableEvent, devices: readonly SeenDevice[]): boolean {
  if (senderKey !== null) return !devices.some(({ identityKey }) => identityKey === senderKey)
  return deviceId !== null && !devices.some((device) => device.deviceId === deviceId)
}
