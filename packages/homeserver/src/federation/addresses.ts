import ipaddr from 'ipaddr.js'

/**
 * Whether an address is one that anybody on the internet may have: not loopback, private, link-local or in any other
 * way special. An IPv4 address inside an IPv6 one is judged by itself.
 * @param address an IP literal
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.process(address)
  return parsed.range() === 'unicast'
}
