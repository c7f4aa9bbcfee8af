import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * What a limit by address counts: an IPv4 address, or the /64 that an IPv6 address lies in, all of which one subscriber has.
 * @param address an IP literal, or any text, which stands for itself
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const parsed = ipaddr.process(address)
  if (parsed instanceof ipaddr.IPv4) return parsed.toString()
  const prefix = parsed.parts.slice(0, 4).map((part) => part.toString(16))
  return `${prefix.join(':')}::/64`
}
