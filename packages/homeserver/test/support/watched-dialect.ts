import type { DatabaseConnection, Dialect, Driver } from 'kysely'

/** Counts what is under way. */
export type InHand = { count: number }

/** The same dialect, but `inHand` counts the calls to the database that have not ended yet. */
export function watchedDialect(dialect: Dialect, inHand: InHand): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver() {
      const driver = dialect.createDriver()
      return watched<Driver>(driver, inHand, {
        acquireConnection: async (...options) =>
          watched<DatabaseConnection>(await driver.acquireConnection(...options), inHand),
      })
    },
  }
}

/** Calls go to the real object, since private members cannot be reached through a proxy. */
function watched<T extends object>(target: T, inHand: InHand, own: Partial<T> = {}): T {
  return new Proxy(target, {
    get(_, name) {
      const from = Object.hasOwn(own, name) ? own : target
      const member = Reflect.get(from, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        const result = member.apply(from, args)
        if (result instanceof Promise) {
          inHand.count++
          const ended = () => inHand.count--
          result.then(ended, ended)
        }
        return result
      }
    },
  })
}
