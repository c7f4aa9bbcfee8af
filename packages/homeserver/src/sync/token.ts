/**
 * Where a client stands. `position` is a place in the one stream that every change is written to; `toDevice` is the
 * place up to which its to-device messages were handed out, behind `position` while a batch was cut off at its limit.
 */
export type SyncToken = { position: number; toDevice: number }

/** The form of the token; what rooms add will come behind it. */
const FORM = /^s1_([0-9]{1,15})(?:_([0-9]{1,15}))?$/

/** @returns the token as `next_batch` and `since` carry it */
export function formatToken({ position, toDevice }: SyncToken): string {
  return toDevice === position ? `s1_${position}` : `s1_${position}_${toDevice}`
}

/** @returns `undefined` if the text is no token of ours */
export function parseToken(text: string): SyncToken | undefined {
  const match = FORM.exec(text)
  if (!match) return undefined
  const position = Number(match[1])
  return { position, toDevice: match[2] === undefined ? position : Math.min(position, Number(match[2])) }
}
