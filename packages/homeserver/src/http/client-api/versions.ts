import type { Context } from '../../context.ts'
import type { App } from '../app.ts'

/** Every released version of the client-server API: each server of a later one serves those before. */
const VERSIONS = [
  ...['r0.0.1', 'r0.1.0', 'r0.2.0', 'r0.3.0', 'r0.4.0', 'r0.5.0', 'r0.6.0', 'r0.6.1'],
  ...['v1.1', 'v1.2', 'v1.3', 'v1.4', 'v1.5', 'v1.6', 'v1.7', 'v1.8', 'v1.9', 'v1.10'],
  ...['v1.11', 'v1.12', 'v1.13', 'v1.14', 'v1.15', 'v1.16', 'v1.17', 'v1.18', 'v1.19'],
]

const UNSTABLE_FEATURES = {
  'org.matrix.msc2638': true,
  'org.matrix.mscXXXX': true,
  // Long released, and still what some clients ask before they set up cross-signing.
  'org.matrix.e2e_cross_signing': true,
}

/** Client-server API, "API Versions". */
export function versions(app: App, _ctx: Context): void {
  app.get('/_matrix/client/versions', { config: { public: true } }, async () => ({
    versions: VERSIONS,
    unstable_features: UNSTABLE_FEATURES,
  }))
}
