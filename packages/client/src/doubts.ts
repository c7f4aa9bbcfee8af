import type { StaleSign } from './signs.ts'

/** What was doubted already. Bounded: the oldest doubt is forgotten first. */
export type Doubts = {
  /** Whether this is the first time; from now on it is not. */
  isNew(doubt: string): boolean
}

const DEFAULT_CAPACITY = 10_000

export function createDoubts(capacity: number = DEFAULT_CAPACITY): Doubts {
  const known = new Set<string>()
  return {
    isNew(doubt) {
      if (known.has(doubt)) return false
      known.add(doubt)
      if (known.size > capacity) known.delete(known.values().next().value!)
      return true
    },
  }
}

/** The doubts that signs raise: the same ones as long as what was seen is the same. */
export function doubtsOf(userId: string, signs: readonly StaleSign[]): string[] {
  return signs.flatMap(evidenceOf).map((evidence) => `${userId} ${evidence}`)
}

function evidenceOf(seen: StaleSign): string[] {
  switch (seen.sign) {
    case 'noDevices':
      return ['has no devices']
    case 'unsignedDevices':
      return [`has unsigned ${[...seen.deviceIds].sort().join(' ')}`]
    case 'unknownSenderDevice':
      return seen.events.map(({ deviceId, senderKey }) => `sends from ${deviceId} ${senderKey}`)
    case 'serverFailure':
      return [`is on ${seen.serverName}`]
  }
}
