import type { Edu } from '../../src/matrix/federation.ts'
import { type Clock, sleep } from '../../src/platform/clock.ts'
import { NetworkError } from '../../src/platform/network.ts'
import type { ScriptedRemote } from '../support/scripted-remote.ts'

/** How a scripted remote delivers: as good servers do, one transaction at a time to each server, again until it is taken. */
export type RemoteSender = {
  /** Puts an EDU into the queue of these servers. */
  send(destinations: readonly string[], edu: Edu): void
  /** Sends it in a transaction of its own, beside the queue: it may overtake what waits there. */
  sendAlone(destinations: readonly string[], edu: Edu): void
  /** Whether nothing waits. */
  isIdle(): boolean
  /** Loses all that waits. */
  forget(): void
}

const RETRY_MS = 8_000
const AT_ONCE = 5

/** @param onBug called with whatever is no failure of the network */
export function createRemoteSender(
  remote: ScriptedRemote,
  clock: Clock,
  onBug: (error: unknown) => void,
): RemoteSender {
  const queues = new Map<string, Edu[]>()
  let forgotten = new AbortController()
  let transactions = 0
  let underWay = 0

  /** The same transaction, until it is answered with 200. */
  async function deliver(destination: string, edus: readonly Edu[]): Promise<void> {
    const txnId = `chaos${transactions++}`
    const { signal } = forgotten
    underWay++
    while (!signal.aborted && !(await attempt(destination, edus, txnId))) await sleep(clock, RETRY_MS, signal)
    underWay--
  }

  async function attempt(destination: string, edus: readonly Edu[], txnId: string): Promise<boolean> {
    try {
      return (await remote.sendEdus(destination, edus, txnId)).status === 200
    } catch (error) {
      if (!(error instanceof NetworkError)) onBug(error)
      return false
    }
  }

  async function drain(destination: string, queue: Edu[]): Promise<void> {
    while (queue.length > 0) {
      const edus = queue.slice(0, AT_ONCE)
      await deliver(destination, edus)
      queue.splice(0, edus.length)
    }
    if (queues.get(destination) === queue) queues.delete(destination)
  }

  return {
    send(destinations, edu) {
      for (const destination of destinations) {
        const queue = queues.get(destination)
        if (queue) queue.push(edu)
        else {
          const begun = [edu]
          queues.set(destination, begun)
          drain(destination, begun).catch(onBug)
        }
      }
    },
    sendAlone(destinations, edu) {
      for (const destination of destinations) deliver(destination, [edu]).catch(onBug)
    },
    isIdle: () => underWay === 0 && queues.size === 0,
    forget() {
      forgotten.abort()
      forgotten = new AbortController()
      for (const queue of queues.values()) queue.length = 0
      queues.clear()
    },
  }
}
