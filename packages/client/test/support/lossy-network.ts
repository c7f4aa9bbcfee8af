import type { Network } from '../../../homeserver/src/platform/network.ts'
import { createSystemNetwork } from '../../../homeserver/src/platform/system-network.ts'

/** A network on which device list updates get lost once `lose` was called: they are answered for, and never arrive. */
export function createLossyNetwork(certificate: string): { network: Network; lose(): void; lost(): Promise<void> } {
  const network = createSystemNetwork({ certificates: certificate })
  let losing = false
  const first = Promise.withResolvers<void>()
  return {
    network: {
      ...network,
      async http(request) {
        if (!losing || !request.body?.includes('m.device_list_update')) return network.http(request)
        first.resolve()
        return { status: 200, headers: {}, body: Buffer.from('{"pdus":{}}') }
      },
    },
    lose() {
      losing = true
    },
    lost: () => first.promise,
  }
}
