import { LRUCache } from 'lru-cache'

/** A map that keeps so many entries at most: those used last. */
export type BoundedCache<K extends {}, V extends {}> = LRUCache<K, V>

/**
 * @param most entries that are kept. They take memory as they come: told the number in another way, `LRUCache` takes room
 *   for all of them at once, which for the caches of an idle server is 20 MB.
 * @param dispose called with what is dropped
 */
export function createBoundedCache<K extends {}, V extends {}>(
  most: number,
  dispose?: (value: V) => void,
): BoundedCache<K, V> {
  return createSizedCache(most, () => 1, dispose)
}

/** @param most of what `sizeOf` gives for the values that are kept, in all; a size is at least 1 */
export function createSizedCache<K extends {}, V extends {}>(
  most: number,
  sizeOf: (value: V) => number,
  dispose?: (value: V) => void,
): BoundedCache<K, V> {
  return new LRUCache<K, V>({ maxSize: most, sizeCalculation: sizeOf, ...(dispose && { dispose }) })
}
