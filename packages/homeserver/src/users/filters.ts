import { createHash } from 'node:crypto'
import { badJson, forbidden } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { addFilter, filterDefinition } from '../storage/filters.ts'
import type { Store } from '../storage/store.ts'
import { isFilter } from './filter-shape.ts'

export type Filters = {
  /** `POST /user/{userId}/filter` @returns the filter's ID @throws `M_FORBIDDEN` for another's, `M_BAD_JSON` */
  addFilter(requester: UserId, userId: UserId, definition: unknown): Promise<string>
  /** The parsed definition of a user's filter; `undefined` if there is none of that ID. */
  filter(userId: UserId, filterId: string): Promise<unknown>
  /** @throws `M_BAD_JSON` if it has not the shape of a filter */
  checkFilter(definition: unknown): void
}

export function createFilters(store: Store): Filters {
  function checkFilter(definition: unknown): void {
    if (!isFilter(definition)) throw badJson('This has not the shape of a filter')
  }
  return {
    checkFilter,

    async addFilter(requester, userId, definition) {
      if (requester !== userId) throw forbidden('Filters are made for oneself')
      checkFilter(definition)
      const text = JSON.stringify(definition)
      // The ID is made of the content: clients upload the same filter at every start.
      const filterId = createHash('sha256').update(text).digest('base64url').slice(0, 22)
      await addFilter(store.db, userId, filterId, text)
      return filterId
    },

    async filter(userId, filterId) {
      if (!/^[\w-]{1,64}$/.test(filterId)) return undefined
      const definition = await filterDefinition(store.db, userId, filterId)
      return definition === undefined ? undefined : JSON.parse(definition)
    },
  }
}
