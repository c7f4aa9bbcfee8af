import { Scrolled } from '../design/scrolled.tsx'
import type { Lines } from './figures.ts'

const [WIDTH, HEIGHT] = [640, 200]
const [LEFT, BOTTOM, TOP] = [40, 22, 10]

/** Lines over time, and the same as a table for whoever does not see them. */
export function Plot({ title, lines: { moments, lines } }: { title: string; lines: Lines }) {
  const highest = Math.max(1, ...lines.flatMap(({ values }) => values))
  const [first = 0, last = 1] = [moments[0], moments.at(-1)]
  const x = (at: number) => LEFT + ((at - first) / Math.max(1, last - first)) * (WIDTH - LEFT - 8)
  const y = (value: number) => HEIGHT - BOTTOM - (value / highest) * (HEIGHT - BOTTOM - TOP)
  const steps = highest <= 4 ? Array.from({ length: highest + 1 }, (_, step) => step) : [0, highest / 2, highest]
  return (
    <figure className="plot sheet">
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}: ${inWords(lines)}`}>
        {steps.map((step) => (
          <g key={step} className="grid">
            <line x1={LEFT} x2={WIDTH} y1={y(step)} y2={y(step)} />
            <text x={LEFT - 6} y={y(step) + 4} textAnchor="end">
              {Math.round(step)}
            </text>
          </g>
        ))}
        <text className="edge" x={LEFT} y={HEIGHT - 4}>
          {shortTime(first)}
        </text>
        <text className="edge" x={WIDTH} y={HEIGHT - 4} textAnchor="end">
          {shortTime(last)}
        </text>
        {lines.map(({ name, values }, nth) => (
          <polyline
            key={name}
            className={`line line-${nth}`}
            points={values.map((value, place) => `${x(moments[place]!)},${y(value)}`).join(' ')}
          />
        ))}
      </svg>
      {lines.length === 0 ? (
        <p>No list was stale in this time.</p>
      ) : (
        <ul className="legend">
          {lines.map(({ name, values }, nth) => (
            <li key={name}>
              <svg viewBox="0 0 20 6" aria-hidden="true">
                <polyline className={`line line-${nth}`} points="0,3 20,3" />
              </svg>
              {name}: {values.at(-1)} now
            </li>
          ))}
        </ul>
      )}
      <details>
        <summary>As a table</summary>
        <Scrolled label={`${title}, as a table`}>
          <table>
            <thead>
              <tr>
                <th scope="col">Time</th>
                {lines.map(({ name }) => (
                  <th scope="col" key={name}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {moments
                .map((at, place) => ({ at, place }))
                .reverse()
                .map(({ at, place }) => (
                  <tr key={at}>
                    <th scope="row">{new Date(at).toLocaleString()}</th>
                    {lines.map(({ name, values }) => (
                      <td key={name}>{values[place]}</td>
                    ))}
                  </tr>
                ))}
            </tbody>
          </table>
        </Scrolled>
      </details>
    </figure>
  )
}

function inWords(lines: Lines['lines']): string {
  if (lines.length === 0) return 'none'
  return lines.map(({ name, values }) => `${name} at most ${Math.max(...values)}, now ${values.at(-1)}`).join('; ')
}

const shortTime = (at: number) =>
  new Date(at).toLocaleString(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' })
