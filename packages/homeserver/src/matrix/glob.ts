/**
 * Whether a text matches a pattern in which `*` stands for any characters and `?` for one. Appendices, "Glob-style
 * matching". Upper and lower case are the same. Patterns are from outside: the time is bounded by the product of the
 * lengths, however many stars there are.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  const [glob, subject] = [pattern.toLowerCase(), text.toLowerCase()]
  let at = 0
  let star = -1
  let starAt = 0
  for (let i = 0; i < subject.length; ) {
    if (glob[at] === '*') {
      star = at++
      starAt = i
    } else if (at < glob.length && (glob[at] === '?' || glob[at] === subject[i])) {
      at++
      i++
    } else if (star >= 0) {
      // The last star takes one character more, and what follows it is tried again.
      at = star + 1
      i = ++starAt
    } else return false
  }
  while (glob[at] === '*') at++
  return at === glob.length
}
