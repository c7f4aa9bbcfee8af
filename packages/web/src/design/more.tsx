/** Shows more of a long list, if there is more. @param left how many are not shown */
export function More({ left, onMore }: { left: number; onMore(): void }) {
  if (left <= 0) return null
  return (
    <button type="button" className="quiet more" onClick={onMore}>
      Show more ({left})
    </button>
  )
}
