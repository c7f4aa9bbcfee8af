import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Where global unicast addresses lie (RFC 4291), and where IPv4 addresses are translated to (RFC 6052). */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')
const TRANSLATED_IPV4 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')

/**
 * Whether an address is one that anybody on the internet may have: not loopback, private, link-local, shared, multicast,
 * reserved or in any other way special. An IPv4 address inside of an IPv6 one is judged by itself.
 * @param address an IP literal
 */
export function isPublicAddress(address: string): boolean {
  // The library also reads forms that others read differently, such as 1.2.3.
  if (!isIP(address)) return false
  const parsed = ipaddr.process(address)
  if (parsed instanceof ipaddr.IPv4) return parsed.range() === 'unicast'
  if (parsed.match(TRANSLATED_IPV4)) return isPublicAddress(parsed.toByteArray().slice(12).join('.'))
  return parsed.match(GLOBAL_IPV6) && parsed.range() === 'unicast'
}
