/** How many there are of each, as a table with bars. */
export function Bars({ title, of, counts }: { title: string; of: string; counts: readonly [string, number][] }) {
  const highest = Math.max(1, ...counts.map(([, count]) => count))
  return (
    <div className="sheet">
      <table className="bars">
        <caption>{title}</caption>
        <thead>
          <tr>
            <th scope="col">{of}</th>
            <th scope="col">Lists</th>
          </tr>
        </thead>
        <tbody>
          {counts.map(([name, count]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                <span className="bar" style={{ inlineSize: `${(count / highest) * 75}%` }} aria-hidden="true" /> {count}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
