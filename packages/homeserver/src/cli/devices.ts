import type { ListOverview } from '../device-lists/status.ts'
import type { DestinationOverview } from '../storage/device-list-figures.ts'
import type { Transition } from '../storage/device-list-history.ts'
import { inParts } from '../storage/parts.ts'
import type { OperatorApi } from './connection.ts'

type Outcome = { userId: string; outcome: 'fresh' | 'pending' | 'failed'; detail?: string }

/** How many lists one call to the server refreshes: small, so that the progress shows. */
const CHUNK = 10
const BAR_WIDTH = 30

/** `evergreen devices status [--server NAME] [--stale]`. @param now epoch ms, for ages */
export async function devicesStatus(
  api: OperatorApi,
  filter: { server: string | undefined; stale: boolean },
  now: number,
): Promise<number> {
  const lists = await api.call<ListOverview[]>('GET', `/device_lists?${query(filter)}`)
  if (lists.length === 0) {
    process.stdout.write(filter.stale ? 'No list is stale.\n' : 'No lists.\n')
    return 0
  }
  const rows = lists.map((list) => [
    list.userId,
    list.state,
    list.doubtedAt === null ? '' : `${duration(now - list.doubtedAt)} ago`,
    [list.reason, list.lastError].filter((part) => part !== null).join('; '),
    list.nextAttemptAt === null ? '' : list.nextAttemptAt <= now ? 'now' : `in ${duration(list.nextAttemptAt - now)}`,
    list.syncedAt === null ? 'never' : `${duration(now - list.syncedAt)} ago`,
  ])
  process.stdout.write(table([['USER', 'STATE', 'SINCE', 'WHY', 'NEXT TRY', 'FETCHED'], ...rows]))
  return 0
}

/** `evergreen devices history USER`. @param now epoch ms, for ages */
export async function devicesHistory(api: OperatorApi, userId: string, now: number): Promise<number> {
  const { history } = await api.call<{ history: Transition[] }>(
    'GET',
    `/device_lists/${encodeURIComponent(userId)}/history`,
  )
  const rows = history.map(({ at, event, detail }) => [`${duration(now - at)} ago`, event, detail ?? ''])
  process.stdout.write(table([['WHEN', 'WHAT', 'DETAIL'], ...rows]))
  return 0
}

/** `evergreen destinations`. @param now epoch ms, for ages */
export async function destinations(api: OperatorApi, now: number): Promise<number> {
  const servers = await api.call<DestinationOverview[]>('GET', '/destinations')
  const ago = (at: number | null) => (at === null ? 'never' : `${duration(now - at)} ago`)
  const rows = servers.map((server) => {
    const next = Math.max(server.next_attempt_at ?? 0, server.retry_after_until ?? 0)
    return [
      server.server,
      server.failures > 0 ? `failing (${server.failures})` : next > now ? 'asks to wait' : 'up',
      server.failing_since === null ? '' : ago(server.failing_since),
      server.last_error ?? '',
      next > now ? `in ${duration(next - now)}` : '',
      ago(server.last_heard_at),
    ]
  })
  process.stdout.write(table([['SERVER', 'STATE', 'SINCE', 'WHY', 'NEXT TRY', 'HEARD FROM'], ...rows]))
  return 0
}

/** `evergreen devices refresh …`. @returns 0 if every list is fresh now */
export async function devicesRefresh(
  api: OperatorApi,
  which: { users: string[]; server: string | undefined; allStale: boolean },
): Promise<number> {
  const { users, server, allStale } = which
  const wanted = new Set(users)
  if (server !== undefined) {
    const lists = await api.call<ListOverview[]>('GET', `/device_lists?${query({ server, stale: false })}`)
    for (const list of lists) wanted.add(list.userId)
  }
  if (allStale) for (const user of await api.call<string[]>('GET', '/device_lists/stale')) wanted.add(user)
  const all = [...wanted]
  const outcomes: Outcome[] = []
  const progress = progressBar(all.length)
  for (const chunk of inParts(all, CHUNK)) {
    outcomes.push(...(await api.call<Outcome[]>('POST', '/device_lists/refresh', { users: chunk })))
    progress.show(outcomes.length)
  }
  progress.end()
  for (const { userId, outcome, detail } of outcomes) {
    process.stdout.write(`${userId}  ${outcome}${detail ? `  (${detail})` : ''}\n`)
  }
  const fresh = outcomes.filter((one) => one.outcome === 'fresh').length
  process.stdout.write(`${fresh} of ${all.length} ${all.length === 1 ? 'list is' : 'lists are'} fresh.\n`)
  return fresh === all.length ? 0 : 1
}

function query(filter: { server: string | undefined; stale: boolean }): URLSearchParams {
  return new URLSearchParams({
    ...(filter.server === undefined ? {} : { server: filter.server }),
    ...(filter.stale ? { stale: 'true' } : {}),
  })
}

/** A bar on a terminal; nothing elsewhere, since what follows says it all. */
function progressBar(total: number): { show(done: number): void; end(): void } {
  if (!process.stderr.isTTY || total === 0) return { show() {}, end() {} }
  const show = (done: number) => {
    const filled = Math.round((done / total) * BAR_WIDTH)
    process.stderr.write(`\r[${'█'.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}] ${done}/${total}`)
  }
  show(0)
  return { show, end: () => process.stderr.write('\n') }
}

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** A duration in the largest unit that says something, from milliseconds. */
function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}
