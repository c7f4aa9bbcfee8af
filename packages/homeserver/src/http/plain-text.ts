import { Type } from 'typebox'

/** Schema of a text that is kept as it is. NUL is refused: PostgreSQL cannot keep it. @param maxLength in code points */
export const plainText = (maxLength: number) => Type.String({ maxLength, pattern: '^[^\\u0000]*$' })
