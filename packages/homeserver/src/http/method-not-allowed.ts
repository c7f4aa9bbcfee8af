import type { App } from './app.ts'

/**
 * Remembers the routes that are added after this call, so that a path known under another method can be told from
 * an unknown one.
 * @returns a function from a URL to the methods that its path is served under; empty for an unknown path
 */
export function rememberRoutes(app: App): (url: string) => string[] {
  const methodsByPattern = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByPattern.get(url) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    methodsByPattern.set(url, methods)
  })
  let matchers: [RegExp, Set<string>][] | undefined
  return (url) => {
    matchers ??= [...methodsByPattern].map(([pattern, methods]) => [matcherOf(pattern), methods])
    const path = url.split('?', 1)[0]!
    return [...new Set(matchers.flatMap(([matcher, methods]) => (matcher.test(path) ? [...methods] : [])))].sort()
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
