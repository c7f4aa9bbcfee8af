// Lets the examples import the package by its name and get its source, so that no build need be up to date.

import { registerHooks } from 'node:module'

const SOURCES: Record<string, string> = {
  '@evergreen/client': new URL('../../src/index.ts', import.meta.url).href,
  '@evergreen/client/react': new URL('../../src/react/index.ts', import.meta.url).href,
}

registerHooks({
  resolve(specifier, context, next) {
    const url = SOURCES[specifier]
    return url ? { url, shortCircuit: true } : next(specifier, context)
  },
})
