/** One part of a `multipart/mixed`: header names in lower case. */
export type Part = { headers: ReadonlyMap<string, string>; body: Buffer }

const MAX_PARTS = 2
const MAX_HEADER_BYTES = 16 * 1024
const CRLF = '\r\n'

/** What goes before and after the bytes of a media in an answer to another server. */
export function mediaEnvelope(
  boundary: string,
  headers: Readonly<Record<string, string>>,
): { head: string; tail: string } {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}${CRLF}`)
  const metadata = `--${boundary}${CRLF}Content-Type: application/json${CRLF}${CRLF}{}${CRLF}`
  return {
    head: `${metadata}--${boundary}${CRLF}${lines.join('')}${CRLF}`,
    tail: `${CRLF}--${boundary}--${CRLF}`,
  }
}

/**
 * The two parts of another server's answer. RFC 2046, section 5.1.
 * @returns `undefined` if it is none
 */
export function readMultipart(contentType: string | undefined, bytes: Buffer): [Part, Part] | undefined {
  const boundary = boundaryIn(contentType)
  if (boundary === undefined) return undefined
  const delimiter = Buffer.from(`--${boundary}`)
  const parts: Part[] = []
  let at = bytes.indexOf(delimiter)
  while (at >= 0 && parts.length < MAX_PARTS) {
    const start = bytes.indexOf(CRLF, at + delimiter.length)
    const end = start < 0 ? -1 : bytes.indexOf(Buffer.from(`${CRLF}--${boundary}`), start)
    if (end < 0) return undefined
    const part = readPart(bytes.subarray(start + CRLF.length, end))
    if (!part) return undefined
    parts.push(part)
    at = end + CRLF.length
  }
  const [first, second] = parts
  return first && second ? [first, second] : undefined
}

function boundaryIn(contentType: string | undefined): string | undefined {
  if (contentType === undefined || !/^multipart\/mixed\s*;/i.test(contentType)) return undefined
  const match = /;\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType)
  return match?.[1] ?? match?.[2]
}

function readPart(bytes: Buffer): Part | undefined {
  // A part without headers begins with the empty line.
  const empty = bytes.subarray(0, CRLF.length).toString('latin1') === CRLF
  const end = empty ? 0 : bytes.indexOf(CRLF + CRLF)
  if (end < 0 || end > MAX_HEADER_BYTES) return undefined
  const headers = new Map<string, string>()
  for (const line of bytes.subarray(0, end).toString('utf8').split(CRLF)) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return { headers, body: bytes.subarray(end + (empty ? CRLF.length : 2 * CRLF.length)) }
}
