/** Hands an item over to be taken together with others. @returns once it was taken @throws what taking it threw */
export type Gather<T> = (item: T) => Promise<void>

type Waiting<T> = { item: T; resolve(): void; reject(error: unknown): void }

/**
 * Takes together what comes within one turn of the event loop: under load the fixed cost of taking is shared, and nobody waits for
 * longer than the turn takes. Where many together fail, each is taken by itself, so that none fails for another.
 * @param take takes items in the order in which they came
 * @param limits how large an item is, and how large those that are taken together may be; one alone may be larger
 */
export function createGather<T>(
  take: (items: readonly T[]) => Promise<void>,
  limits: { sizeOf(item: T): number; most: number },
): Gather<T> {
  let waiting: Waiting<T>[] = []
  let size = 0

  function flush(): void {
    if (waiting.length === 0) return
    const some = waiting
    waiting = []
    size = 0
    void takeTogether(some)
  }

  async function takeTogether(some: readonly Waiting<T>[]): Promise<void> {
    try {
      await take(some.map(({ item }) => item))
    } catch (error) {
      if (some.length > 1) for (const one of some) void takeTogether([one])
      else some[0]!.reject(error)
      return
    }
    for (const { resolve } of some) resolve()
  }

  return (item) =>
    new Promise<void>((resolve, reject) => {
      const more = limits.sizeOf(item)
      if (size + more > limits.most) flush()
      if (waiting.length === 0) setImmediate(flush)
      size += more
      waiting.push({ item, resolve, reject })
    })
}
