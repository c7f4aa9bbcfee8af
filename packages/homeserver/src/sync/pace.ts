import type { Clock } from '../platform/clock.ts'
import { createTimedCache } from '../platform/timed-cache.ts'
import type { News } from './news.ts'
import type { Device } from './ports.ts'

/**
 * Device lists change in bursts: after a downtime, say, a server tells of all its users in as many transactions. A device that was just told
 * of changed lists, and of nothing else, is told of more such changes this much later at the earliest (ms), with all that have come until then.
 */
const REST_MS = 20
/** So many devices are remembered; one that is forgotten is answered at once. */
const REMEMBERED = 10_000

export type Pace = {
  /** Until when (epoch ms) an answer is to be held back; `undefined`: it is not. */
  restOf(device: Device, news: News): number | undefined
  /** The device is told of this. */
  told(device: Device, news: News): void
}

export function createPace(clock: Clock): Pace {
  const restingUntil = createTimedCache<number>(clock, REMEMBERED)
  const nameOf = ({ userId, deviceId }: Device) => `${userId} ${deviceId}`

  return {
    restOf: (device, news) => (news === 'lists' ? restingUntil.get(nameOf(device)) : undefined),
    told(device, news) {
      if (news === 'lists') restingUntil.set(nameOf(device), clock.now() + REST_MS, REST_MS)
    },
  }
}
