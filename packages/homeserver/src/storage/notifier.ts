/** Wakes whoever waits for something that a key (a user ID) names. A hint: the database is the truth. */
export type Notifier = {
  /** Calls `listener` at every wake-up of `key` until the returned function is called. */
  subscribe(key: string, listener: () => void): () => void
  wake(keys: Iterable<string>): void
  /** Wakes everybody, where it is not known who has to be. */
  wakeAll(): void
}

export function createNotifier(): Notifier {
  const listeners = new Map<string, Set<() => void>>()
  return {
    subscribe(key, listener) {
      const set = listeners.get(key) ?? new Set()
      listeners.set(key, set.add(listener))
      return () => {
        set.delete(listener)
        if (set.size === 0 && listeners.get(key) === set) listeners.delete(key)
      }
    },
    wake(keys) {
      for (const key of keys) for (const listener of [...(listeners.get(key) ?? [])]) listener()
    },
    wakeAll() {
      for (const set of [...listeners.values()]) for (const listener of [...set]) listener()
    },
  }
}
