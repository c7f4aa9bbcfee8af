import type { Context } from '../../context.ts'
import type { App } from '../app.ts'

/** The server-server API: one file per module of the specification. */
export function federationApi(_app: App, _ctx: Context): void {}
