import { digestOf, type Snapshot } from '../../src/device-lists/snapshot.ts'

/** What two lists are compared by: devices with keys, and the cross-signing keys, each as a digest. */
export type Content = { devices: string; signing: string }

/** A list as its owner had it once. A server that is rebuilt begins a new epoch, in which stream IDs count anew. */
type Version = Content & { streamId: number; epoch: number; at: number }

/** What one server must know at least, as places in the owner's history. */
type Floor = { devices: number; signing: number }

/** What is true of one user's list, and was. */
export type Truth = {
  /** The list as it is now. Each change has to be recorded, in order. @param at when it came to be so (ms since the run began) */
  record(list: Snapshot, at?: number): void
  /** From now on stream IDs count anew. */
  beginEpoch(): void
  epoch(): number
  now(): Content | undefined
  /** A server has answered that it took an update of this stream ID. */
  toldDevices(server: string, epoch: number, streamId: number): void
  /** A server has answered that it took these cross-signing keys. */
  toldSigning(server: string, signing: string): void
  /**
   * Looks at a list that a server calls fresh. What it has had once it must not lose.
   * @returns in words how it is wrong
   */
  problemOf(server: string, seen: Content): string | undefined
  /** Since when a list has been out of date (ms since the run began); `undefined` if it is as it is now, or never was so. */
  outdatedSince(seen: Content): number | undefined
}

export function contentOf(list: Pick<Snapshot, 'deviceKeys' | 'masterKey' | 'selfSigningKey'>): Content {
  const { deviceKeys, masterKey, selfSigningKey } = list
  return {
    devices: digestOf({ deviceKeys, masterKey: null, selfSigningKey: null })!,
    signing: digestOf({ deviceKeys: new Map(), masterKey, selfSigningKey })!,
  }
}

export function createTruth(): Truth {
  const history: Version[] = []
  const floors = new Map<string, Floor>()
  const told: { server: string; epoch: number; streamId: number }[] = []
  let epoch = 0

  function raise(server: string, part: keyof Floor, place: number): void {
    const floor = floors.get(server) ?? { devices: 0, signing: 0 }
    floors.set(server, { ...floor, [part]: Math.max(floor[part], place) })
  }

  function placesOf(part: keyof Floor, value: string, from = 0): number {
    return history.findIndex((version, place) => place >= from && version[part] === value)
  }

  return {
    record(list, at = 0) {
      const content = contentOf(list)
      const last = history.at(-1)
      if (last && last.streamId === list.streamId && last.epoch === epoch && isSame(last, content)) return
      history.push({ ...content, streamId: list.streamId, epoch, at })
    },
    beginEpoch: () => void epoch++,
    epoch: () => epoch,
    now: () => history.at(-1),
    toldDevices: (server, inEpoch, streamId) => void told.push({ server, epoch: inEpoch, streamId }),
    toldSigning(server, signing) {
      const place = placesOf('signing', signing)
      if (place > 0) raise(server, 'signing', place)
    },
    problemOf(server, seen) {
      for (const one of told.splice(0)) {
        const place = history.findLastIndex((old) => old.epoch === one.epoch && old.streamId <= one.streamId)
        if (place > 0) raise(one.server, 'devices', place)
      }
      const floor = floors.get(server) ?? { devices: 0, signing: 0 }
      for (const part of ['devices', 'signing'] as const) {
        const place = placesOf(part, seen[part], floor[part])
        if (place >= 0) raise(server, part, place)
        else if (placesOf(part, seen[part]) >= 0)
          return `its ${part} are older than what ${server} was told or had (${placesOf(part, seen[part])} of ${history.length - 1}, not below ${floor[part]})`
        else return `its ${part} were never true`
      }
      return undefined
    },
    outdatedSince(seen) {
      const place = (['devices', 'signing'] as const).map((part) =>
        history.findLastIndex((version) => version[part] === seen[part]),
      )
      return history[Math.min(...place) + 1]?.at
    },
  }
}

export const isSame = (a: Content, b: Content) => a.devices === b.devices && a.signing === b.signing
