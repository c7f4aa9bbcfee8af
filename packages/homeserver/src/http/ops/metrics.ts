import type { RequestListener } from 'node:http'
import type { Context } from '../../context.ts'
import type { DeviceListMetrics } from '../../device-lists/ports.ts'
import { AGE_BOUNDS, type DeviceListFigures, deviceListFigures } from '../../storage/device-list-figures.ts'

/** What is counted, and how it is read. */
export type Metrics = {
  deviceLists: DeviceListMetrics
  /** Answers `GET /metrics` in Prometheus' text format. */
  handler(ctx: Context): RequestListener
}

/** Nothing is counted where nobody reads it. */
export function noMetrics(): Metrics {
  return {
    deviceLists: { resyncEnded() {}, becameFresh() {}, auditDrift() {} },
    handler: () => (_request, response) => response.writeHead(404).end(),
  }
}

/** What a scrape reads off the tables is good for so long (ms): several scrapers cost no more than one. */
const READ_EVERY_MS = 10_000
const FRESH_BUCKETS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 300, 600, 3_600, 86_400]

/** Loads the library, which a server that nobody watches does without. */
export async function createMetrics(): Promise<Metrics> {
  const { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } = await import('prom-client')
  const registers = [new Registry()]
  const [registry] = registers as [InstanceType<typeof Registry>]
  collectDefaultMetrics({ register: registry })
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ name: `evergreen_${name}`, help, labelNames, registers })

  const resyncs = new Counter({
    name: 'evergreen_device_list_resyncs_total',
    help: 'Fetches of device lists, by how they ended',
    labelNames: ['outcome'],
    registers,
  })
  const drift = new Counter({
    name: 'evergreen_device_list_audit_drift_total',
    help: 'Lists that an audit found to differ from their owners',
    registers,
  })
  const timeToFresh = new Histogram({
    name: 'evergreen_device_list_time_to_fresh_seconds',
    help: 'From the doubt about a list until it was right again',
    buckets: FRESH_BUCKETS,
    registers,
  })
  const lists = gauge('device_lists', 'Lists of remote users', 'state', 'reason')
  const tracked = gauge('device_lists_tracked', 'Lists of users with whom a room is shared')
  const oldest = gauge('device_list_oldest_doubt_seconds', 'Age of the oldest doubt that stands')
  const ages = gauge('device_lists_confirmed_within', 'Tracked lists known to be right this many seconds ago', 'le')
  const queued = gauge('queue_depth', 'What waits to go to other servers', 'queue')
  const breakers = gauge('destination_breakers', 'Servers that are not asked at present', 'state')

  function show(figures: DeviceListFigures): void {
    lists.reset()
    for (const { state, reason, count } of figures.states) lists.set({ state, reason }, count)
    tracked.set(figures.tracked)
    oldest.set(figures.oldestDoubtMs / 1_000)
    for (const bound of AGE_BOUNDS) ages.set({ le: String(bound / 1_000) }, figures.ages.get(bound) ?? 0)
    ages.set({ le: '+Inf' }, figures.tracked)
    queued.set({ queue: 'device_list_updates' }, figures.queued.deviceListUpdates)
    queued.set({ queue: 'to_device' }, figures.queued.toDeviceMessages)
    breakers.set({ state: 'failing' }, figures.destinations.failing)
    breakers.set({ state: 'retry_after' }, figures.destinations.limited)
  }

  return {
    deviceLists: {
      resyncEnded: (outcome) => resyncs.inc({ outcome }),
      becameFresh: (afterMs) => timeToFresh.observe(afterMs / 1_000),
      auditDrift: () => drift.inc(),
    },
    handler(ctx) {
      let readAt = Number.NEGATIVE_INFINITY
      async function text(): Promise<string> {
        const now = ctx.clock.now()
        if (Math.abs(now - readAt) >= READ_EVERY_MS) {
          readAt = now
          show(await deviceListFigures(ctx.store.db, now))
        }
        return registry.metrics()
      }
      return (request, response) => {
        if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
          response.writeHead(404).end()
          return
        }
        text().then(
          (body) => response.writeHead(200, { 'content-type': registry.contentType }).end(body),
          (error: unknown) => {
            ctx.log.error({ err: error }, 'reading the metrics failed')
            response.writeHead(500).end()
          },
        )
      }
    },
  }
}
