import { memo, useId, useState } from 'react'
import type { DeviceList } from '../api/types.ts'
import { Icon, StateBadge } from '../design/icons.tsx'
import { Coming, Lasting, Moment } from '../design/moment.tsx'
import { counted } from '../design/words.ts'
import { nameOf, signsOfStaleness } from './people.ts'
import type { DeviceMark, PersonKeys, ShownDevice } from './trust.ts'
import type { Refresh } from './use-refreshes.ts'

type Props = {
  list: DeviceList
  keys: PersonKeys | undefined
  refresh: Refresh | undefined
  onRefresh(userId: string): void
  /** The ID of what explains the marks. */
  explanation: string
}

/** Devices of one person that are shown at first. */
const DEVICES = 6

/** One person: their devices, what their keys say, how the list stands, and the button. */
export const Person = memo(function Person({ list, keys, refresh, onRefresh, explanation }: Props) {
  const heading = useId()
  const busy = refresh?.phase === 'asking'
  return (
    <li className={`person ${list.state}`} aria-labelledby={heading}>
      <div className="who">
        <h2 id={heading}>
          <bdi>{nameOf(list)}</bdi>
        </h2>
        {nameOf(list) !== list.user_id && <p className="user-id">{list.user_id}</p>}
      </div>
      <div className="how">
        <StateBadge state={list.state} />
        <Standing list={list} />
        <Signs list={list} keys={keys} />
      </div>
      <button
        type="button"
        aria-label={`Refresh devices of ${list.user_id}`}
        aria-busy={busy}
        // Not `disabled`: that would take the focus away from whoever has just pressed it.
        aria-disabled={busy}
        onClick={() => busy || onRefresh(list.user_id)}
      >
        Refresh devices
      </button>
      <p role="status" className="outcome">
        {refresh && <Outcome refresh={refresh} />}
      </p>
      {keys && <Devices userId={list.user_id} keys={keys} explanation={explanation} />}
    </li>
  )
})

/** Since when, why, and what comes next. */
function Standing({ list }: { list: DeviceList }) {
  switch (list.state) {
    case 'fresh':
      return list.synced_at === null ? (
        <p>On this homeserver: its list is always right.</p>
      ) : (
        <p>
          Fresh: fetched <Moment at={list.synced_at} />.
        </p>
      )
    case 'untracked':
      return <p>Not fetched yet.</p>
    default:
      return (
        <p>
          {list.state === 'failing' ? 'Failing' : 'In doubt'}
          {list.stale_since !== null && (
            <>
              {' '}
              for <Lasting since={list.stale_since} />
            </>
          )}
          {list.last_error ? `: ${list.last_error}.` : '.'}
          {list.next_attempt_at !== null && (
            <>
              {' '}
              Next try: <Coming at={list.next_attempt_at} />.
            </>
          )}
        </p>
      )
  }
}

function Signs({ list, keys }: { list: DeviceList; keys: PersonKeys | undefined }) {
  const signs = signsOfStaleness(list, keys)
  // The state itself is said already.
  if (list.state !== 'fresh' || signs.length === 0) return null
  return <p className="warning">Looks stale: {signs.join('; ')}.</p>
}

function Outcome({ refresh }: { refresh: Refresh }) {
  switch (refresh.phase) {
    case 'asking':
      return 'Asking their server …'
    case 'waiting':
      return 'Asked; the list comes by itself.'
    case 'arrived':
      return (
        <span className="arrived">
          <Icon name="good" /> Arrived: the list is up to date.
        </span>
      )
    case 'failed':
      return (
        <span className="failed">
          <Icon name="bad" /> {refresh.message.replace(/\.$/, '')}.{' '}
          {refresh.retryAt !== undefined && (
            <>
              {refresh.retryScheduled ? 'Your homeserver tries again by itself' : 'You can ask again'}{' '}
              <Coming at={refresh.retryAt} />.
            </>
          )}
        </span>
      )
  }
}

function Devices({ userId, keys, explanation }: { userId: string; keys: PersonKeys; explanation: string }) {
  const [all, setAll] = useState(false)
  const { devices, crossSigning, verifiedByYou } = keys
  const visible = all ? devices : devices.slice(0, DEVICES)
  return (
    <div className="keys">
      <p aria-describedby={explanation}>
        {counted(devices.length, 'device')}
        {' · '}
        {verifiedByYou ? 'Verified by you' : crossSigning ? 'Not verified by you' : 'No cross-signing'}
      </p>
      <ul aria-label={`Devices of ${userId}`}>
        {visible.map((device) => (
          <Device key={device.deviceId} {...device} />
        ))}
      </ul>
      {devices.length > visible.length && (
        <button type="button" className="quiet" onClick={() => setAll(true)}>
          Show all {devices.length} devices
        </button>
      )}
    </div>
  )
}

const MARKS: Record<DeviceMark, { icon: 'good' | 'bad' | 'unknown'; words: string }> = {
  signed: { icon: 'good', words: 'signed' },
  unsigned: { icon: 'bad', words: 'not signed' },
  forged: { icon: 'bad', words: 'bad signature' },
  noCrossSigning: { icon: 'unknown', words: 'unsigned: its owner does not cross-sign' },
}

function Device({ deviceId, name, mark }: ShownDevice) {
  const { icon, words } = MARKS[mark]
  return (
    <li className={`device ${mark}`}>
      <Icon name={icon} /> {name && <bdi>{name}</bdi>} <code>{deviceId}</code> <span className="mark">{words}</span>
    </li>
  )
}
