import type { ServerName } from '../matrix/ids.ts'
import type { Db } from './store.ts'

/** A server's own signed answer about its keys, kept under each key that it names; `validUntil` in epoch ms. */
export type KeptResponse = { keyId: string; response: string; validUntil: number }

/** What is kept of a server, by key ID. */
export async function keptResponses(db: Db, serverName: ServerName): Promise<KeptResponse[]> {
  const rows = await db
    .selectFrom('notary_responses')
    .select(['key_id', 'response', 'valid_until'])
    .where('server_name', '=', serverName)
    .execute()
  return rows.map((row) => ({ keyId: row.key_id, response: row.response, validUntil: row.valid_until }))
}

/** Keeps an answer under these keys, unless one is there that is valid for longer. */
export async function keepResponse(
  db: Db,
  serverName: ServerName,
  keyIds: readonly string[],
  { response, validUntil }: Omit<KeptResponse, 'keyId'>,
): Promise<void> {
  if (keyIds.length === 0) return
  const rows = keyIds.map((keyId) => ({
    server_name: serverName,
    key_id: keyId,
    response,
    valid_until: validUntil,
  }))
  await db
    .insertInto('notary_responses')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(['server_name', 'key_id'])
        .doUpdateSet((eb) => ({ response: eb.ref('excluded.response'), valid_until: eb.ref('excluded.valid_until') }))
        .whereRef('excluded.valid_until', '>=', 'notary_responses.valid_until'),
    )
    .execute()
}
