import type { Context } from '../../context.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

/** Client-server API, "Voice over IP": no setting names a TURN server, so clients connect to each other as they can. */
export function voip(app: App, _ctx: Context): void {
  for (const path of clientPaths('/voip/turnServer')) app.get(path, async () => ({}))
}
