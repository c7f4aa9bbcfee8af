import { type Compilable, type CompiledQuery, type QueryResult, type RawBuilder, sql } from 'kysely'
import { isPostgres } from './dialect.ts'
import { QueueingAdapter } from './sqlite.ts'
import type { Db } from './store.ts'

/** Stands for a value while a statement is built. */
class Placeholder {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/**
 * A statement that runs with every request: built and compiled once per kind of database, afterwards only given its
 * values. Building one costs several times what running it does.
 * @param build makes the statement; `value(name)` stands where a value will go
 * @returns runs the statement with the values
 */
export function prepared<Values extends Record<string, unknown>, Row = never>(
  build: (db: Db, value: <Name extends keyof Values & string>(name: Name) => Values[Name]) => Compilable<Row>,
): (db: Db, values: Values) => Promise<QueryResult<Row>> {
  const compiled: { sqlite?: CompiledQuery<Row>; postgres?: CompiledQuery<Row> } = {}
  const placeholder = (name: string) => new Placeholder(name) as never
  return (db, values) => {
    const kind = isPostgres(db) ? 'postgres' : 'sqlite'
    compiled[kind] ??= build(db, placeholder).compile()
    const statement = compiled[kind]
    const parameters = statement.parameters.map((parameter) =>
      parameter instanceof Placeholder ? values[parameter.name] : parameter,
    )
    const query = { ...statement, parameters }
    const { adapter } = db.getExecutor()
    const runAtOnce = adapter instanceof QueueingAdapter ? adapter.runAtOnce : undefined
    return runAtOnce ? (runAtOnce(query, db.isTransaction) as Promise<QueryResult<Row>>) : db.executeQuery(query)
  }
}

/**
 * Whether a column is one of a list of texts, given as a JSON array: one parameter however long the list is, so that the
 * statement stays the same. No text may have a NUL.
 */
export function isOneOf(db: Db, column: string, list: string): RawBuilder<boolean> {
  return isPostgres(db)
    ? sql`${sql.ref(column)} = any(array(select jsonb_array_elements_text(${list}::jsonb)))`
    : sql`${sql.ref(column)} in (select value from json_each(${list}))`
}
