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
 * The same for what any of many texts in a column picks. One text by itself is compared with, which takes SQLite half the time of
 * looking into a list.
 * @param column such as `user_id`
 * @param build is given the condition as `isChosen`
 * @returns runs the statement for those texts; for none there are no rows, and nothing is asked
 */
export function preparedForAny<Row, Values extends Record<string, unknown> = Record<never, never>>(
  column: string,
  build: (
    db: Db,
    isChosen: RawBuilder<boolean>,
    value: <Name extends keyof Values & string>(name: Name) => Values[Name],
  ) => Compilable<Row>,
): (
  db: Db,
  chosen: readonly string[],
  ...values: Record<never, never> extends Values ? [] : [Values]
) => Promise<Row[]> {
  type WithChosen = Values & { chosen: string }
  const one = prepared<WithChosen, Row>((db, value) => build(db, sql`${sql.ref(column)} = ${value('chosen')}`, value))
  const many = prepared<WithChosen, Row>((db, value) => build(db, isOneOf(db, column, value('chosen')), value))
  return async (db, chosen, values?: Values) => {
    const [first] = chosen
    if (first === undefined) return []
    const { rows } =
      chosen.length === 1
        ? await one(db, { ...values, chosen: first } as WithChosen)
        : await many(db, { ...values, chosen: JSON.stringify(chosen) } as WithChosen)
    return rows
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
