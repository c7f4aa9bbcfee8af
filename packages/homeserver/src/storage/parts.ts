/**
 * A long list in parts, in its order: a statement has room for so many parameters only, and a transaction that others wait
 * for is kept short.
 * @param size the most in one part
 */
export function* inParts<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < all.length; start += size) yield all.slice(start, start + size)
}
