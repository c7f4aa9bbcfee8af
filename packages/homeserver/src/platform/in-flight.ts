/** Work under way, by key: whoever asks for the same meanwhile gets the same promise. */
export type InFlight<V> = {
  /** Joins the work for `key` if it is under way, else begins `task`. */
  share(key: string, task: () => Promise<V>): Promise<V>
  has(key: string): boolean
}

/** What has ended is not kept, however it ended. */
export function createInFlight<V>(): InFlight<V> {
  const underWay = new Map<string, Promise<V>>()
  return {
    share(key, task) {
      const same = underWay.get(key)
      if (same) return same
      const work = task().finally(() => underWay.delete(key))
      underWay.set(key, work)
      return work
    },
    has: (key) => underWay.has(key),
  }
}
