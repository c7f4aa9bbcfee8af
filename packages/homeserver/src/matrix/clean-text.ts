const MAX_LENGTH = 200

/** A stranger's text, fit to be shown: no control or bidirectional characters, at most 200 characters. */
export function cleanText(text: string): string {
  // The slice before the replacement bounds the work, the one after it the result.
  const clean = text.slice(0, MAX_LENGTH * 10).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '')
  return Array.from(clean).slice(0, MAX_LENGTH).join('')
}
