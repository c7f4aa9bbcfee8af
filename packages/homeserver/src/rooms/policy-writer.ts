import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/events.ts'
import type { RoomId } from '../matrix/ids.ts'
import { canonicalJson } from '../matrix/json.ts'
import { askPolicyServer, type PolicyRefusal } from './policy-server.ts'
import type { RoomParts } from './ports.ts'
import type { RoomWriter, WritableRoom } from './writable-room.ts'

/** Thrown by a task: an event of ours that the room's policy server has to be asked about before it can be added. */
export class NeedsAdvice extends Error {
  readonly event: RoomEvent
  constructor(event: RoomEvent) {
    super('a policy server has to be asked')
    this.event = event
  }
}

/** Events of one task that a policy server is asked about. */
const MAX_ASKED = 5

/**
 * A writer whose tasks may need a policy server's advice: the task is broken off, the policy server asked with nothing held
 * meanwhile, and the task run again with what was advised. Server-server API, "Asking for a Policy Server signature on an
 * event". A room that is new has no policy server.
 * @throws what the policy server answers, from `write`
 */
export function withPolicyServers(parts: RoomParts, writer: RoomWriter): RoomWriter {
  async function write<T>(roomId: RoomId, task: (room: WritableRoom) => Promise<T>): Promise<T> {
    const advised: RoomEvent[] = []
    for (;;) {
      try {
        return await writer.write(roomId, (room) => {
          room.advised = advised
          return task(room)
        })
      } catch (error) {
        if (!(error instanceof NeedsAdvice) || advised.length >= MAX_ASKED) throw error
        advised.push(await adviceOn(parts, error.event))
      }
    }
  }
  return { ...writer, write }
}

async function adviceOn(parts: RoomParts, event: RoomEvent): Promise<RoomEvent> {
  const { roomId } = event
  const version = (await parts.versions.load(parts.store.db, [roomId])).get(roomId)!
  const { event: advised, refusal } = await askPolicyServer(parts, { roomId, version }, event)
  if (refusal) throw asError(refusal)
  return advised
}

function asError({ status, errcode, error }: PolicyRefusal): MatrixError {
  if (status === undefined)
    return new MatrixError(502, 'M_UNKNOWN', 'The policy server of this room could not be asked')
  return new MatrixError(
    status,
    errcode ?? 'M_FORBIDDEN',
    error ?? 'The policy server of this room does not recommend it',
  )
}

/** The event that a policy server was asked about on account of what `event`, which was built anew, says. */
export function advisedInstead(room: WritableRoom, event: RoomEvent): RoomEvent | undefined {
  const said = canonicalJson(event.content)
  return room.advised?.find(
    (one) =>
      one.type === event.type &&
      one.stateKey === event.stateKey &&
      one.sender === event.sender &&
      one.redacts === event.redacts &&
      canonicalJson(one.content) === said,
  )
}
