import type { SyncResponse } from './build.ts'

/** What a response has that a long poll ends for: nothing, changes of device lists and nothing else, or more. */
export type News = 'none' | 'lists' | 'more'

export function newsIn({ account_data, presence, to_device, device_lists, rooms }: SyncResponse): News {
  const hasMore =
    account_data.events.length > 0 ||
    presence.events.length > 0 ||
    to_device.events.length > 0 ||
    Object.values(rooms).some((section) => Object.keys(section).length > 0)
  if (hasMore) return 'more'
  return device_lists && device_lists.changed.length + device_lists.left.length > 0 ? 'lists' : 'none'
}
