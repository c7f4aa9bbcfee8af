import type { Cancel } from '../../src/platform/clock.ts'
import type { Platform } from '../../src/platform/platform.ts'

/** The platform of one process, which can be killed. */
export type MortalPlatform = {
  platform: Platform
  /** Aborted when it is killed. */
  death: AbortSignal
  /** As kill -9 does: no timer of it fires any more, its requests break off, and what it waits for never comes. */
  kill(): void
}

export function createMortalPlatform({ clock, network, random, log }: Platform): MortalPlatform {
  const dying = new AbortController()
  const { signal: death } = dying
  const timers = new Set<Cancel>()

  function whileAlive<T>(call: () => Promise<T>): Promise<T> {
    if (death.aborted) return new Promise(() => {})
    return new Promise((resolve, reject) => {
      const alive = (tell: (value: never) => void) => (value: unknown) => {
        if (!death.aborted) tell(value as never)
      }
      call().then(alive(resolve), alive(reject))
    })
  }

  return {
    death,
    kill() {
      dying.abort()
      for (const cancel of timers) cancel()
      timers.clear()
    },
    platform: {
      random,
      log,
      clock: {
        now: clock.now,
        after(delayMs, callback) {
          if (death.aborted) return () => {}
          const cancelTimer = clock.after(delayMs, () => {
            timers.delete(cancel)
            callback()
          })
          const cancel = () => {
            timers.delete(cancel)
            cancelTimer()
          }
          timers.add(cancel)
          return cancel
        },
      },
      network: {
        http: (request) =>
          whileAlive(() => {
            const signal = request.signal ? AbortSignal.any([request.signal, death]) : death
            return network.http({ ...request, signal })
          }),
        dns: {
          addresses: (hostname) => whileAlive(() => network.dns.addresses(hostname)),
          srv: (name) => whileAlive(() => network.dns.srv(name)),
        },
      },
    },
  }
}
