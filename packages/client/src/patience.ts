/** For how long a caller waits: until a time is over, or until they do not want to any more. */
export type Patience = {
  /** Aborted by whichever of the two comes first. */
  signal: AbortSignal
  /** Milliseconds that are left. */
  leftMs(): number
  /**
   * @returns what `work` resolves to, or `undefined` when the time was over first
   * @throws the reason of the caller's signal, if it was aborted; and what `work` throws
   */
  spend<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined>
  /** Frees the timer. */
  end(): void
}

/** @param timeoutMs at most what a timer can take, about 24 days */
export function startPatience(timeoutMs: number, callers?: AbortSignal): Patience {
  const over = new AbortController()
  const deadline = Date.now() + timeoutMs
  const timer = setTimeout(() => over.abort(), Math.min(timeoutMs, MAX_TIMER_MS))
  const signal = callers ? AbortSignal.any([callers, over.signal]) : over.signal
  return {
    signal,
    leftMs: () => Math.max(0, deadline - Date.now()),
    async spend(work) {
      const cut = Promise.withResolvers<never>()
      const abort = () => cut.reject(signal.reason)
      signal.addEventListener('abort', abort)
      try {
        signal.throwIfAborted()
        return await Promise.race([work(signal), cut.promise])
      } catch (error) {
        callers?.throwIfAborted()
        if (over.signal.aborted) return undefined
        throw error
      } finally {
        signal.removeEventListener('abort', abort)
      }
    },
    end: () => clearTimeout(timer),
  }
}

/** @throws the signal's reason, once it is aborted */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', abort)
        resolve()
      },
      Math.min(ms, MAX_TIMER_MS),
    )
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

const MAX_TIMER_MS = 2 ** 31 - 1
