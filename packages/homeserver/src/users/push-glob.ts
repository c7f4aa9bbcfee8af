/**
 * How much a user's patterns may look at for one event, in characters: they are from outside, and so is the text. When it
 * is used up, nothing more matches.
 */
export type Effort = { left: number }

/** A pattern, cut at its stars; case is folded. In a piece that is not `plain`, `?` stands for any character. */
export type Glob = readonly { text: string; plain: boolean }[]

/** Reads a pattern: `*` stands for any characters, `?` for one. Appendices, "Glob-style matching". */
export function compileGlob(pattern: string): Glob {
  const pieces = pattern.toLowerCase().split(/\*+/)
  return pieces.map((text) => ({ text, plain: !text.includes('?') }))
}

/** A pattern that is the text itself, whatever is in it. */
export function literalGlob(text: string): Glob {
  return [{ text: text.toLowerCase(), plain: true }]
}

/**
 * Whether a pattern matches the whole of a text.
 * @param text in lower case
 */
export function matchesWhole(glob: Glob, text: string, effort: Effort): boolean {
  return matches(
    glob,
    text,
    effort,
    (at) => at === 0,
    (at) => at === text.length,
  )
}

/**
 * Whether a pattern matches a part of a text that begins and ends at a word boundary: the start or the end of the text,
 * or beside a character that is no letter, digit or underscore of ASCII. Client-server API, "Conditions".
 * @param text in lower case
 */
export function matchesWords(glob: Glob, text: string, effort: Effort): boolean {
  const isBoundary = (at: number) => at === 0 || at === text.length || !isWord(text, at - 1) || !isWord(text, at)
  return matches(glob, text, effort, isBoundary, isBoundary)
}

/**
 * What stands between the stars is looked for from left to right, each at the first place where it fits: a later one
 * would leave less for the rest. So the text is gone through once.
 */
function matches(
  glob: Glob,
  text: string,
  effort: Effort,
  mayBegin: (at: number) => boolean,
  mayEnd: (at: number) => boolean,
): boolean {
  const last = glob.length - 1
  let from = 0
  for (const [index, piece] of glob.entries()) {
    const at = find(piece, text, from, effort, (start) => {
      if (index === 0 && !mayBegin(start)) return false
      return index < last || mayEnd(start + piece.text.length)
    })
    if (at === undefined) return false
    from = at + piece.text.length
  }
  return true
}

/** The first place, from `from` on, where a piece without stars fits and `isGood`. */
function find(
  { text: piece, plain }: Glob[number],
  text: string,
  from: number,
  effort: Effort,
  isGood: (at: number) => boolean,
): number | undefined {
  for (let at = from; at + piece.length <= text.length; at++) {
    if (plain) {
      const next = text.indexOf(piece, at)
      effort.left -= (next < 0 ? text.length : next) - at + 1
      if (next < 0) return undefined
      at = next
    }
    if (effort.left < 0) return undefined
    if (isGood(at) && (plain || fits(piece, text, at, effort))) return at
    effort.left--
  }
  return undefined
}

function fits(piece: string, text: string, at: number, effort: Effort): boolean {
  for (let i = 0; i < piece.length; i++) {
    effort.left--
    if (piece[i] !== '?' && piece[i] !== text[at + i]) return false
  }
  return true
}

function isWord(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code === 95 || (code >= 65 && code <= 90)
}
