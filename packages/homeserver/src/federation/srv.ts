import type { SrvRecord } from '../platform/network.ts'

/**
 * SRV records in the order in which their targets are to be tried: by priority, and within one by chance and weight.
 * A target that is the root says that there is no such service. RFC 2782.
 * @param fraction numbers in [0, 1)
 */
export function srvOrder(records: readonly SrvRecord[], fraction: () => number): SrvRecord[] {
  return records
    .filter(({ name, port }) => name !== '' && name !== '.' && port > 0)
    .map((record) => ({ record, luck: fraction() ** (1 / Math.max(record.weight, 0.001)) }))
    .sort((a, b) => a.record.priority - b.record.priority || b.luck - a.luck)
    .map(({ record }) => record)
}
