import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { forbidden, limitExceeded, MatrixError, notFound } from '../matrix/errors.ts'
import type { FederationAnswer, FederationRequest } from '../matrix/federation.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { FileFolder } from '../platform/file-folder.ts'
import { createInFlight } from '../platform/in-flight.ts'
import { createKeyedLock } from '../platform/keyed-lock.ts'
import { opaqueId, type Random } from '../platform/random.ts'
import {
  addMedia,
  completeMedia,
  type MediaKey,
  type MediaRow,
  mediaOfUser,
  mediaRow,
  oldestCopies,
  removeAnnounced,
  removeMedia,
  touchMedia,
} from '../storage/media.ts'
import type { Store } from '../storage/store.ts'
import { createRemoteMedia } from './remote-media.ts'

/** What is known of a media besides its bytes. */
export type MediaFacts = { contentType: string; fileName: string | undefined; size: number }

/** Something to be uploaded: how it was declared, and its bytes as they come. */
export type Upload = Omit<MediaFacts, 'size'> & { content: AsyncIterable<Uint8Array> }

/** The content repository. Client-server API, "Content repository". */
export type Media = {
  /** Bytes that one media may have. */
  maxBytes: number
  /**
   * Keeps what a user uploads.
   * @returns its media ID
   * @throws 413 `M_TOO_LARGE`; `M_FORBIDDEN` for whoever has uploaded too much already
   */
  upload(userId: UserId, upload: Upload): Promise<string>
  /**
   * Gives out an address for what will be uploaded later.
   * @returns the media ID, and until when (epoch ms) something has to be there
   * @throws 429 `M_LIMIT_EXCEEDED`
   */
  announce(userId: UserId): Promise<{ mediaId: string; expiresAt: number }>
  /**
   * Uploads to an address given out before.
   * @throws as `upload`; `M_NOT_FOUND`; `M_FORBIDDEN` for somebody else's; 409 `M_CANNOT_OVERWRITE_MEDIA`
   */
  uploadTo(userId: UserId, mediaId: string, upload: Upload): Promise<void>
  /**
   * A media of ours, or of another server, of which a copy is kept for a while.
   * @throws `M_NOT_FOUND`; 504 `M_NOT_YET_UPLOADED`; 502 `M_TOO_LARGE` or `M_UNKNOWN`
   */
  find(key: MediaKey): Promise<MediaFacts>
  /** The bytes of what `find` has found. */
  read(key: MediaKey): Readable
  /** Forgets copies that nobody has used for long, the oldest of too many, and what was announced and never came. */
  cleanUp(): Promise<void>
}

const MAX_BYTES = 50 * 1024 * 1024
const MAX_BYTES_PER_USER = 10 * 1024 ** 3
const MAX_BYTES_OF_COPIES = 10 * 1024 ** 3
const DAY_MS = 86_400_000
const COPIES_KEPT_MS = 30 * DAY_MS
const ANNOUNCED_KEPT_MS = DAY_MS
const MAX_ANNOUNCED = 20
/** Copies that one round of cleaning removes at most. */
const CLEANED_AT_ONCE = 1_000

export function createMedia(parts: {
  store: Store
  clock: Clock
  random: Random
  serverName: ServerName
  files: FileFolder
  request(destination: ServerName, request: FederationRequest): Promise<FederationAnswer>
}): Media {
  const { store, clock, random, serverName, files } = parts
  const fetchRemote = createRemoteMedia(parts.request, MAX_BYTES)
  const fetching = createInFlight<MediaRow>()
  const lock = createKeyedLock()
  const own = (mediaId: string): MediaKey => ({ serverName, mediaId })

  function rowFor(mediaId: string, userId: UserId): MediaRow {
    const now = clock.now()
    const nothing = { content_type: null, size: null, file_name: null }
    return { server_name: serverName, media_id: mediaId, user_id: userId, ...nothing, created_at: now, used_at: now }
  }

  async function requireRoom(userId: UserId): Promise<void> {
    const { bytes } = await mediaOfUser(store.db, userId, clock.now())
    if (bytes >= MAX_BYTES_PER_USER) throw forbidden('You have uploaded as much as you may')
  }

  async function keep(key: MediaKey, content: AsyncIterable<Uint8Array>): Promise<number> {
    const size = await files.write(fileOf(key), content, MAX_BYTES)
    if (size === 'too_large') throw new MatrixError(413, 'M_TOO_LARGE', `Media may have ${MAX_BYTES} bytes`)
    return size
  }

  async function fill(userId: UserId, mediaId: string, { contentType, fileName, content }: Upload): Promise<void> {
    const row = await mediaRow(store.db, own(mediaId))
    if (!row || (row.size === null && row.created_at + ANNOUNCED_KEPT_MS <= clock.now())) throw notThere()
    if (row.user_id !== userId) throw forbidden('This address was given to somebody else')
    if (row.size !== null) throw cannotOverwrite()
    await requireRoom(userId)
    const size = await keep(own(mediaId), content)
    const facts = { content_type: contentType, size, file_name: fileName ?? null }
    if (!(await completeMedia(store.db, own(mediaId), facts))) throw cannotOverwrite()
  }

  async function fetchCopy(key: MediaKey): Promise<MediaRow> {
    const { contentType, fileName, bytes } = await fetchRemote(key)
    const size = await keep(key, Readable.from([bytes]))
    const now = clock.now()
    const row = {
      server_name: key.serverName,
      media_id: key.mediaId,
      user_id: null,
      content_type: contentType,
      size,
      file_name: fileName ?? null,
      created_at: now,
      used_at: now,
    }
    await addMedia(store.db, row)
    return row
  }

  return {
    maxBytes: MAX_BYTES,

    async upload(userId, { contentType, fileName, content }) {
      await requireRoom(userId)
      const mediaId = opaqueId(random)
      const size = await keep(own(mediaId), content)
      const facts = { content_type: contentType, size, file_name: fileName ?? null }
      await addMedia(store.db, { ...rowFor(mediaId, userId), ...facts })
      return mediaId
    },

    async announce(userId) {
      const since = clock.now() - ANNOUNCED_KEPT_MS
      const { announced } = await mediaOfUser(store.db, userId, since)
      if (announced >= MAX_ANNOUNCED) throw limitExceeded(60_000, 'Upload first what you have announced')
      const mediaId = opaqueId(random)
      await addMedia(store.db, rowFor(mediaId, userId))
      return { mediaId, expiresAt: clock.now() + ANNOUNCED_KEPT_MS }
    },

    uploadTo: (userId, mediaId, upload) => lock(mediaId, () => fill(userId, mediaId, upload)),

    async find(key) {
      const kept = await mediaRow(store.db, key)
      if (!kept && key.serverName === serverName) throw notThere()
      const name = `${key.serverName}/${key.mediaId}`
      const row = kept ?? (await fetching.share(name, () => fetchCopy(key)))
      if (row.size === null) throw new MatrixError(504, 'M_NOT_YET_UPLOADED', 'This media is not there yet')
      if (row.used_at + DAY_MS <= clock.now()) await touchMedia(store.db, key, clock.now())
      return { contentType: row.content_type!, fileName: row.file_name ?? undefined, size: row.size }
    },
    read: (key) => files.read(fileOf(key)),

    async cleanUp() {
      const now = clock.now()
      await removeAnnounced(store.db, now - ANNOUNCED_KEPT_MS)
      const { rows, bytes } = await oldestCopies(store.db, CLEANED_AT_ONCE)
      let left = bytes
      for (const row of rows) {
        if (row.used_at > now - COPIES_KEPT_MS && left <= MAX_BYTES_OF_COPIES) return
        const key = { serverName: row.server_name, mediaId: row.media_id }
        await removeMedia(store.db, key)
        await files.remove(fileOf(key))
        left -= row.size ?? 0
      }
    },
  }
}

/** Nothing that others name becomes part of a path. */
function fileOf({ serverName, mediaId }: MediaKey): string {
  return createHash('sha256').update(`${serverName}/${mediaId}`).digest('hex')
}

const notThere = () => notFound('There is no such media')
const cannotOverwrite = () =>
  new MatrixError(409, 'M_CANNOT_OVERWRITE_MEDIA', 'Something was uploaded to this address already')
