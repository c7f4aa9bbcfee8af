import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { forbidden } from '../../matrix/errors.ts'
import { nestsTooDeeply } from '../../matrix/json.ts'
import type { App } from '../app.ts'
import { plainText } from '../plain-text.ts'

/** The most PDUs and EDUs of one transaction. Server-server API, "Transactions". */
const MAX_PDUS = 50
const MAX_EDUS = 100
/** Fifty events of 65,536 bytes each, and the EDUs. */
const BODY_LIMIT = 10 * 1024 * 1024

const schema = {
  params: Type.Object({ txnId: plainText(255) }),
  body: Type.Object({
    origin: Type.Optional(Type.String()),
    pdus: Type.Optional(Type.Array(Type.Unknown(), { maxItems: MAX_PDUS })),
    edus: Type.Optional(Type.Array(Type.Unknown(), { maxItems: MAX_EDUS })),
  }),
}

/** `PUT /send/{txnId}`. Server-server API, "Transactions". */
export function transactions(app: App, ctx: Context): void {
  const config = { deepParts: true }
  app.put('/_matrix/federation/v1/send/:txnId', { schema, config, bodyLimit: BODY_LIMIT }, async (request, reply) => {
    const { origin = request.origin, pdus = [], edus = [] } = request.body
    if (origin !== request.origin) throw forbidden('The transaction is of another server')
    const { txnId } = request.params
    const transaction = { origin: request.origin, txnId, pdus: pdus.filter(isShallow), edus: edus.filter(isShallow) }
    return reply.type('application/json').send(await ctx.transactions.receive(transaction))
  })
}

/** What nests deeper has no event ID either, so there is nothing to answer about it. */
const isShallow = (part: unknown) => !nestsTooDeeply(part)
