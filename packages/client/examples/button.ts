import { DeviceListRefreshButton, useDeviceListRefresh } from '@evergreen/client/react'
import type { MatrixClient } from 'matrix-js-sdk'
import { createElement, Fragment } from 'react'

type Props = { client: MatrixClient; userId: string }

/** Ready made: a button, and a message that screen readers announce. */
export function Member({ client, userId }: Props) {
  return createElement(DeviceListRefreshButton, { client, userId, texts: { label: `Refresh ${userId}` } })
}

/** Or in your own design: the hook has the state, and you show it. */
export function MemberMenu({ client, userId }: Props) {
  const { state, refresh, cancel } = useDeviceListRefresh(client, userId)
  const isAsking = state.phase === 'asking'
  return createElement(
    Fragment,
    null,
    createElement('button', { type: 'button', onClick: isAsking ? cancel : refresh }, isAsking ? 'Cancel' : 'Refresh'),
    createElement('output', null, state.phase === 'failed' ? state.failure.reason : state.phase),
  )
}
