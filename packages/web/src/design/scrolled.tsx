import type { ReactNode } from 'react'

/** What may be wider than the page: it scrolls by itself, also by keyboard. */
export function Scrolled({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has no mouse scrolls what has the focus
    <section className="scrolled" tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}
