/** One event of a stream of server-sent events. */
export type ServerEvent = { event: string; data: string }

/** Reads server-sent events out of text that comes in pieces. HTML standard, "Server-sent events". */
export function createEventParser(): (piece: string) => ServerEvent[] {
  let rest = ''
  let event = ''
  let data: string[] = []
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()!
    const found: ServerEvent[] = []
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) found.push({ event: event || 'message', data: data.join('\n') })
        event = ''
        data = []
        continue
      }
      const colon = line.indexOf(':')
      const [field, value] = colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
      if (field === 'event') event = value
      if (field === 'data') data.push(value)
    }
    return found
  }
}
