/** Wakes whoever waits for something that a key (a user ID) names. A hint: the database is the truth. */
export type Notifier = {
  /** Calls `listener` at every wake-up of `key` until the returned function is called. */
  subscribe(key: string, listener: () => void): () => void
  wake(keys: Iterable<string>): void
  /** Other processes have woken these keys, or any: without keys it is not known which. Wakes those who wait here. */
  wakeFromOthers(keys?: readonly string[]): void
  /**
   * Calls `listener` with what other processes have woken, for as long as the store is open: for caches of what they may change.
   * Without keys it may have been any. What they say while there is no connection to hear them by is made up for after it.
   */
  hearOthers(listener: (keys: readonly string[] | undefined) => void): void
}

export function createNotifier(): Notifier {
  const listeners = new Map<string, Set<() => void>>()
  const others: ((keys: readonly string[] | undefined) => void)[] = []

  function wake(keys: Iterable<string>): void {
    for (const key of keys) for (const listener of [...(listeners.get(key) ?? [])]) listener()
  }

  return {
    subscribe(key, listener) {
      const set = listeners.get(key) ?? new Set()
      listeners.set(key, set.add(listener))
      return () => {
        set.delete(listener)
        if (set.size === 0 && listeners.get(key) === set) listeners.delete(key)
      }
    },
    wake,
    wakeFromOthers(keys) {
      // Caches first: whoever is woken reads them.
      for (const listener of others) listener(keys)
      wake(keys ?? [...listeners.keys()])
    },
    hearOthers: (listener) => void others.push(listener),
  }
}
