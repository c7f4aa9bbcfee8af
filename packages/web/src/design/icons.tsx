import type { DeviceListState } from '../api/types.ts'

const PATHS = {
  good: 'M3 8.5 6.5 12 13 4.5',
  waiting: 'M8 4v4l2.5 2.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  bad: 'M8 5v4M8 11.5v.5M8 1.5 15 14H1Z',
  unknown: 'M5.8 6a2.3 2.3 0 1 1 3.4 2c-.8.5-1.2.9-1.2 1.8M8 12v.5',
  tree: 'M8 1 3.5 7h2L2.5 11H7v4h2v-4h4.5l-3-4h2Z',
} as const

/** A small picture beside words that say the same. */
export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  )
}

const STATES: Record<DeviceListState, { icon: keyof typeof PATHS; words: string }> = {
  fresh: { icon: 'good', words: 'Up to date' },
  pending: { icon: 'waiting', words: 'Being asked for' },
  failing: { icon: 'bad', words: 'Cannot be fetched' },
  untracked: { icon: 'unknown', words: 'Not known' },
}

/** The state of a list, as a picture and in words. */
export function StateBadge({ state }: { state: DeviceListState }) {
  const { icon, words } = STATES[state]
  return (
    <span className={`badge ${state}`}>
      <Icon name={icon} /> {words}
    </span>
  )
}
