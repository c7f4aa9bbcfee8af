import { limitExceeded } from '../matrix/errors.ts'
import type { Random } from '../platform/random.ts'
import { createSemaphore } from '../platform/semaphore.ts'

/** How much work a hash is. `recommended` is what OWASP's "Password Storage Cheat Sheet" asks of Argon2id. */
const COSTS = {
  recommended: { memoryCost: 19_456, timeCost: 2, parallelism: 1 },
  test: { memoryCost: 8, timeCost: 1, parallelism: 1 },
}

/** Hashes worked out at the same time: each takes 19 MiB and one of the few threads that Node has for such work. */
const AT_ONCE = 2
/** Hashes that may wait; beyond that nobody would be there any more to hear the answer. */
const MAX_WAITING = 500
/** Milliseconds after which to try again when too many wait. */
const BUSY_RETRY_MS = 1000

/** The longest password, in UTF-16 code units. */
const MAX_PASSWORD_LENGTH = 512

export type Passwords = {
  /** An Argon2id hash in PHC format. */
  hash(password: string): Promise<string>
  /**
   * Whether a password is the one that was hashed. Takes the same time if there is no hash.
   * @param admit called when its turn has come; what it throws ends the check
   */
  verify(hash: string | null | undefined, password: string, admit?: () => void | Promise<void>): Promise<boolean>
}

/** Whether a password can be one of an account of ours: not empty, and not so long that hashing it is an attack. */
export function isPossiblePassword(password: string): boolean {
  return password.length > 0 && password.length <= MAX_PASSWORD_LENGTH
}

/** Both functions throw `M_LIMIT_EXCEEDED` when too many wait. */
export function createPasswords(random: Random, cost: keyof typeof COSTS): Passwords {
  const semaphore = createSemaphore(AT_ONCE)
  let waiting = 0
  let nobodys: Promise<string> | undefined

  async function inTurn<T>(task: () => Promise<T>): Promise<T> {
    if (waiting >= MAX_WAITING) throw limitExceeded(BUSY_RETRY_MS)
    waiting++
    try {
      return await semaphore.run(task)
    } finally {
      waiting--
    }
  }

  async function argon2Hash(password: string): Promise<string> {
    // Loaded at the first use: a server that nobody logs in to does without its memory.
    const { hash } = await import('@node-rs/argon2')
    return hash(normalized(password), { ...COSTS[cost], salt: random.bytes(16) })
  }

  /** Made at the first check, whoever it is for, and kept. */
  async function nobodysHash(): Promise<string> {
    try {
      return await argon2Hash(random.bytes(16).toString('hex'))
    } catch (error) {
      nobodys = undefined
      throw error
    }
  }

  return {
    hash: (password) => inTurn(() => argon2Hash(password)),
    verify: (hash, password, admit) =>
      inTurn(async () => {
        await admit?.()
        nobodys ??= nobodysHash()
        const decoy = await nobodys
        const { verify } = await import('@node-rs/argon2')
        const equal = await verify(hash ?? decoy, normalized(password))
        return equal && typeof hash === 'string'
      }),
  }
}

/** Keyboards differ in how they compose accents; the person typed the same. */
function normalized(password: string): string {
  return password.normalize('NFKC')
}
