import type { App } from './app.ts'

export type Routes = {
  /** The methods that the path of a URL is served under; empty for an unknown path. */
  methodsOf(url: string): string[]
  /** All of them, as they were added, with the schema of what they read. */
  all(): { method: string; pattern: string; schema: unknown }[]
}

/**
 * Remembers the routes that are added after this call, so that a path known under another method can be told from
 * an unknown one.
 */
export function rememberRoutes(app: App): Routes {
  const methodsByPattern = new Map<string, Set<string>>()
  const all: { method: string; pattern: string; schema: unknown }[] = []
  app.addHook('onRoute', ({ url, method, schema }) => {
    for (const one of [method].flat()) all.push({ method: one, pattern: url, schema })
    const methods = methodsByPattern.get(url) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    methodsByPattern.set(url, methods)
  })
  let matchers: [RegExp, Set<string>][] | undefined
  return {
    methodsOf(url) {
      matchers ??= [...methodsByPattern].map(([pattern, methods]) => [matcherOf(pattern), methods])
      const path = url.split('?', 1)[0]!
      return [...new Set(matchers.flatMap(([matcher, methods]) => (matcher.test(path) ? [...methods] : [])))].sort()
    },
    all: () => all,
  }
}

/** `/a/:b/*` as a regular expression: parameters are one segment, `*` is the rest. */
function matcherOf(pattern: string): RegExp {
  const parts = pattern.split('/').map((part) => {
    if (part.startsWith(':')) return '[^/]+'
    return part === '*' ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${parts.join('/')}$`)
}
