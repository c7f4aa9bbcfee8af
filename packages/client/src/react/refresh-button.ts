import type { MatrixClient } from 'matrix-js-sdk'
import { createElement, type ReactElement, useId } from 'react'
import { type DeviceListRefreshTexts, englishTexts } from './texts.ts'
import { type DeviceListRefreshState, useDeviceListRefresh } from './use-refresh.ts'

export type DeviceListRefreshButtonProps = {
  client: MatrixClient
  /** Whose list. */
  userId: string
  /** Another language, in part or in all. */
  texts?: Partial<DeviceListRefreshTexts>
  /** Of the element around button and message, whose `data-phase` is the state's phase. */
  className?: string
}

/**
 * A button that asks for a user's device list, with a message beside it of how that stands. The message is announced by
 * screen readers; while a request is under way the button keeps the focus and does nothing.
 */
export function DeviceListRefreshButton(props: DeviceListRefreshButtonProps): ReactElement {
  const { client, userId, className } = props
  const texts = { ...englishTexts, ...props.texts }
  const { state, refresh } = useDeviceListRefresh(client, userId)
  const messageId = useId()
  const isAsking = state.phase === 'asking'
  return createElement(
    'span',
    { className, 'data-phase': state.phase },
    createElement(
      'button',
      {
        type: 'button',
        onClick: refresh,
        'aria-disabled': isAsking,
        'aria-busy': isAsking,
        'aria-describedby': messageId,
      },
      texts.label,
    ),
    ' ',
    createElement('span', { id: messageId, role: 'status' }, messageOf(state, texts)),
  )
}

function messageOf(state: DeviceListRefreshState, texts: DeviceListRefreshTexts): string {
  switch (state.phase) {
    case 'idle':
      return ''
    case 'asking':
      return texts.asking
    case 'arrived':
      return texts.arrived(state.devices.size)
    case 'error':
      return texts.failed('ownServer')
    case 'failed': {
      const { failure, retryAt } = state
      const when = failure.retryScheduled ? texts.willRetry : texts.mayAskAgain
      return [texts.failed(failure.reason), ...(retryAt === null ? [] : [when(new Date(retryAt))])].join(' ')
    }
  }
}
