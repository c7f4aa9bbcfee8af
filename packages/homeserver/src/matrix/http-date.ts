const IMF_OR_RFC850 = /^[A-Z][a-z]+, [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{8} GMT$/
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [0-9]{4}$/

/**
 * Reads a date in any of the three forms that HTTP has. RFC 9110, section 5.6.7.
 * @returns epoch ms, `undefined` if it is none of them
 */
export function parseHttpDate(text: string): number | undefined {
  const trimmed = text.trim()
  const withZone = ASCTIME.test(trimmed) ? `${trimmed} GMT` : trimmed
  if (withZone === trimmed && !IMF_OR_RFC850.test(trimmed)) return undefined
  // biome-ignore lint/style/noRestrictedGlobals: reads a date, not the time.
  const time = Date.parse(withZone)
  return Number.isNaN(time) ? undefined : time
}
