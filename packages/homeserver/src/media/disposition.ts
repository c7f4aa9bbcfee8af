/** Types that a browser may show in place. Client-server API, "Serving inline content". */
const INLINE = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
])

const MAX_TYPE_LENGTH = 200
const MAX_NAME_LENGTH = 255

/** A content type as it may be sent again: what is none becomes that of mere bytes. */
export function contentTypeOf(header: string | undefined): string {
  const isType =
    header !== undefined && header.length <= MAX_TYPE_LENGTH && /^[\w.+-]+\/[\w.+-]+(\s*;[ -~]*)?$/.test(header)
  return isType ? header : 'application/octet-stream'
}

/** The type without its parameters. */
export const bareType = (contentType: string) => contentType.split(';', 1)[0]!.trim().toLowerCase()

/** A file name as it may be kept: one line, without what leads to other folders or is not to be seen. */
export function fileNameOf(text: string | undefined): string | undefined {
  const name = text?.replaceAll(/[\p{C}/\\]/gu, '').trim()
  return name === undefined || name === '' ? undefined : name.slice(0, MAX_NAME_LENGTH)
}

/** The value of `Content-Disposition`. RFC 6266; names that are not ASCII by RFC 8187. */
export function dispositionOf(contentType: string, fileName: string | undefined): string {
  const kind = INLINE.has(bareType(contentType)) ? 'inline' : 'attachment'
  if (fileName === undefined) return kind
  if (/^[\w .()+,@!-]+$/.test(fileName) && /^[\x20-\x7e]+$/.test(fileName)) return `${kind}; filename="${fileName}"`
  const encoded = encodeURIComponent(fileName.toWellFormed()).replaceAll(
    /['()*!]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename*=utf-8''${encoded}`
}

/** The file name in a `Content-Disposition`, from outside. */
export function nameInDisposition(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(header)?.[1]
  if (extended !== undefined) {
    try {
      return fileNameOf(decodeURIComponent(extended))
    } catch {
      return undefined
    }
  }
  const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(header)?.[1]
  if (quoted !== undefined) return fileNameOf(quoted.replaceAll(/\\(.)/g, '$1'))
  return fileNameOf(/;\s*filename\s*=\s*([^\s;"]+)/i.exec(header)?.[1])
}
