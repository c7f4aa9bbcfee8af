import type { Homeserver } from '../../src/homeserver.ts'

/** Makes somebody an admin of their homeserver, which no endpoint does. */
export async function promote({ ctx }: Homeserver, userId: string): Promise<void> {
  await ctx.store.db
    .updateTable('users')
    .set({ is_admin: 1 })
    .where('user_id', '=', userId as never)
    .execute()
}
