import type { Writable } from 'node:stream'
import { inspect } from 'node:util'

/** A step that was not what it should be. */
export class StepFailed extends Error {
  readonly step: string
  constructor(step: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : inspect(cause), { cause })
    this.step = step
  }
}

/** How the story is told on a terminal, or wherever its lines go. */
export type Telling = {
  /** A new part of the story, with what it is about in a few sentences. */
  chapter(title: string, ...sentences: string[]): void
  /**
   * Does something and tells whether it was as it should be.
   * @param verify throws if it was not; what it returns is what was seen
   * @throws {StepFailed}
   */
  step<Seen>(what: string, verify: () => Promise<Seen>, inWords?: (seen: Seen) => string): Promise<Seen>
  /** How many steps were seen to be true. */
  readonly verified: number
}

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 80
const [RED, GREEN, BOLD, FAINT] = [31, 32, 1, 2]

/** @param options.colours and `spinner` where somebody looks at a terminal; without, a step is a line that comes at its end */
export function createTelling(out: Writable, options: { colours: boolean; spinner: boolean }): Telling {
  const paint = (code: number, text: string) => (options.colours ? `\u001b[${code}m${text}\u001b[0m` : text)
  const line = (text: string) => out.write(`${text}\n`)
  let verified = 0

  function spin(what: string): () => void {
    if (!options.spinner) return () => {}
    let frame = 0
    const draw = () => out.write(`\r\u001b[2K  ${SPINNER[frame++ % SPINNER.length]} ${what}`)
    draw()
    const timer = setInterval(draw, FRAME_MS)
    return () => {
      clearInterval(timer)
      out.write('\r\u001b[2K')
    }
  }

  return {
    get verified() {
      return verified
    },
    chapter(title, ...sentences) {
      line(`\n${paint(BOLD, title)}`)
      for (const sentence of sentences) line(`  ${paint(FAINT, sentence)}`)
    },
    async step(what, verify, inWords) {
      const begun = performance.now()
      const stop = spin(what)
      try {
        const seen = await verify()
        stop()
        const took = paint(FAINT, `(${((performance.now() - begun) / 1000).toFixed(1)} s)`)
        line(`  ${paint(GREEN, '✓')} ${what} ${took}`)
        if (inWords) line(`    ${paint(FAINT, inWords(seen))}`)
        verified++
        return seen
      } catch (error) {
        stop()
        line(`  ${paint(RED, '✗')} ${what}`)
        throw error instanceof StepFailed ? error : new StepFailed(what, error)
      }
    },
  }
}
