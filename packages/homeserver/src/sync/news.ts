import type { SyncResponse } from './build.ts'

/** Whether a response has something that a long poll ends for. */
export function hasNews(response: SyncResponse): boolean {
  return tellsOfLists(response) || tellsOfMore(response)
}

/** Whether it has changes of device lists, and no other news. */
export function tellsOfListsAlone(response: SyncResponse): boolean {
  return tellsOfLists(response) && !tellsOfMore(response)
}

const tellsOfLists = ({ device_lists: lists }: SyncResponse) =>
  lists !== undefined && lists.changed.length + lists.left.length > 0

const tellsOfMore = ({ account_data, presence, to_device, rooms }: SyncResponse) =>
  account_data.events.length > 0 ||
  presence.events.length > 0 ||
  to_device.events.length > 0 ||
  Object.values(rooms).some((section) => Object.keys(section).length > 0)
