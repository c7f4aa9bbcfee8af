import type { RoomId } from '../../matrix/ids.ts'
import { tryParseJson } from '../../matrix/json.ts'

/** Where a page of a hierarchy begins: after so many rooms of the same walk. */
export type HierarchyPlace = { roomId: RoomId; suggestedOnly: boolean; maxDepth: number | undefined; offset: number }

export function formatPlace({ roomId, suggestedOnly, maxDepth, offset }: HierarchyPlace): string {
  return Buffer.from(JSON.stringify([roomId, suggestedOnly, maxDepth ?? null, offset])).toString('base64url')
}

/** @returns the offset; `undefined` if the token is none of ours, or was given for another walk */
export function offsetIn(token: string, walk: Omit<HierarchyPlace, 'offset'>): number | undefined {
  const value = tryParseJson(Buffer.from(token, 'base64url').toString('utf8'))
  const offset = Array.isArray(value) ? value[3] : undefined
  if (!Number.isSafeInteger(offset) || offset < 0) return undefined
  return formatPlace({ ...walk, offset }) === token ? offset : undefined
}
