import { createHash } from 'node:crypto'
import type { Random } from '../../src/platform/random.ts'

/** Chance that repeats itself: the same seed gives the same numbers and bytes in the same order. */
export function createSeededRandom(seed: string | number): Random {
  let block = 0
  let pool = Buffer.alloc(0)
  function bytes(length: number): Buffer {
    while (pool.length < length) {
      pool = Buffer.concat([pool, createHash('sha256').update(`${seed}/${block++}`).digest()])
    }
    const taken = pool.subarray(0, length)
    pool = pool.subarray(length)
    return Buffer.from(taken)
  }
  return { bytes, fraction: () => bytes(6).readUIntBE(0, 6) / 2 ** 48 }
}
