import { Type } from 'typebox'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { RULE_KINDS } from '../../users/push-ruleset.ts'
import type { App } from '../app.ts'
import { clientPaths } from './versions-of.ts'

const kind = Type.Enum([...RULE_KINDS])
const listSchema = { params: Type.Object({ kind }) }
const ruleSchema = { params: Type.Object({ kind, ruleId: Type.String({ minLength: 1 }) }) }
const action = Type.Union([
  Type.Literal('notify'),
  // Older clients still send these two; they do nothing.
  Type.Literal('dont_notify'),
  Type.Literal('coalesce'),
  Type.Object({ set_tweak: Type.String() }),
])
const actions = Type.Array(action)
const text = Type.Optional(Type.String())
const putSchema = {
  ...ruleSchema,
  querystring: Type.Object({ before: text, after: text }),
  body: Type.Object({
    actions,
    conditions: Type.Optional(Type.Array(Type.Object({ kind: Type.String() }))),
    pattern: text,
  }),
}
const enabledSchema = { ...ruleSchema, body: Type.Object({ enabled: Type.Boolean() }) }
const actionsSchema = { ...ruleSchema, body: Type.Object({ actions }) }

/** Client-server API, "Push Rules: API". */
export function pushRules(app: App, ctx: Context): void {
  for (const path of clientPaths('/pushrules')) {
    app.get(`${path}/`, async ({ requester }) => ({ global: await ctx.users.pushRules.ruleset(requester.userId) }))
    app.get(`${path}/global/`, ({ requester }) => ctx.users.pushRules.ruleset(requester.userId))
    app.get(`${path}/global/:kind/`, { schema: listSchema }, async ({ requester, params }) => {
      const ruleset = await ctx.users.pushRules.ruleset(requester.userId)
      return ruleset[params.kind]
    })

    const rule = `${path}/global/:kind/:ruleId`
    app.get(rule, { schema: ruleSchema }, ({ requester, params }) => ctx.users.pushRules.rule(requester.userId, params))
    app.put(rule, { schema: putSchema }, async ({ requester, params, body, query: { before, after } }) => {
      await ctx.users.pushRules.put(requester.userId, params, body, { before, after })
      return {}
    })
    app.delete(rule, { schema: ruleSchema, config: { ignoreBody: true } }, async ({ requester, params }) => {
      await ctx.users.pushRules.remove(requester.userId, params)
      return {}
    })

    app.get(`${rule}/enabled`, { schema: ruleSchema }, async ({ requester, params }) => {
      const { enabled } = await ctx.users.pushRules.rule(requester.userId, params)
      return { enabled }
    })
    app.put(`${rule}/enabled`, { schema: enabledSchema }, async ({ requester, params, body: { enabled } }) => {
      await ctx.users.pushRules.edit(requester.userId, params, { enabled })
      return {}
    })
    app.get(`${rule}/actions`, { schema: ruleSchema }, async ({ requester, params }) => {
      const { actions } = await ctx.users.pushRules.rule(requester.userId, params)
      return { actions }
    })
    app.put(`${rule}/actions`, { schema: actionsSchema }, async ({ requester, params, body }) => {
      await ctx.users.pushRules.edit(requester.userId, params, { actions: body.actions })
      return {}
    })

    // Other scopes, and paths that are cut short: clients expect 400 here, not 404.
    app.route({
      method: ['GET', 'PUT'],
      url: `${path}/*`,
      handler: async () => {
        throw new MatrixError(400, 'M_UNRECOGNIZED', 'No push rules are kept here')
      },
    })
  }
}
