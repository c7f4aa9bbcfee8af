import { type Claim, createClaim } from './claim.ts'
import { type CrossSigning, createCrossSigning } from './cross-signing.ts'
import { createOwnDevices, type OwnDevices } from './own-devices.ts'
import type { DeviceParts } from './ports.ts'
import { createQuery, type Query } from './query.ts'
import { createSessions, type Sessions } from './sessions.ts'
import { createSignatures, type Signatures } from './signatures.ts'
import { createUpload, type Upload } from './upload.ts'

/** Our users' devices: sessions, keys, cross-signing; and the keys of anybody, as `/keys/query` answers them. */
export type Devices = Sessions & {
  own: OwnDevices
  keys: Upload & Claim & Query
  crossSigning: CrossSigning
  signatures: Signatures
}

export function createDevices(parts: DeviceParts): Devices {
  return {
    ...createSessions(parts),
    own: createOwnDevices(parts),
    keys: { ...createUpload(parts), ...createClaim(parts), ...createQuery(parts) },
    crossSigning: createCrossSigning(parts),
    signatures: createSignatures(parts),
  }
}
