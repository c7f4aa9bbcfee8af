import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { Membership } from '../storage/room-tables.ts'
import type { RoomParts } from './ports.ts'

/** The content of a membership event: what the member is called, as far as we know it. */
export async function memberContent(
  { profileOf }: Pick<RoomParts, 'profileOf'>,
  userId: UserId,
  membership: Membership,
  more: JsonObject = {},
): Promise<JsonObject> {
  return { ...(await profileOf(userId)), ...more, membership }
}
