/** Gives back the smallest of what is in it, in logarithmic time. */
export type Heap<T> = { push(item: T): void; pop(): T | undefined }

/** A binary heap. @param isBefore a total order */
export function createHeap<T>(isBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = []

  const isBeforeAt = (a: number, b: number) => a < items.length && (b >= items.length || isBefore(items[a]!, items[b]!))

  function swap(a: number, b: number): void {
    const item = items[a]!
    items[a] = items[b]!
    items[b] = item
  }

  return {
    push(item) {
      items.push(item)
      for (let at = items.length - 1; at > 0 && isBeforeAt(at, (at - 1) >> 1); at = (at - 1) >> 1) {
        swap(at, (at - 1) >> 1)
      }
    },
    pop() {
      const smallest = items[0]
      const last = items.pop()
      if (items.length > 0) items[0] = last!
      for (let at = 0; ; ) {
        const child = isBeforeAt(2 * at + 2, 2 * at + 1) ? 2 * at + 2 : 2 * at + 1
        if (!isBeforeAt(child, at)) return smallest
        swap(at, child)
        at = child
      }
    },
  }
}
