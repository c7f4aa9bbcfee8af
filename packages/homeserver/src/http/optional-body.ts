import { type TObject, Type } from 'typebox'

/** Schema of a body that a request may leave out. */
export const optionalBody = <Body extends TObject>(body: Body) => Type.Union([body, Type.Null()])
