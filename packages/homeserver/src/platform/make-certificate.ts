import { isIP } from 'node:net'
import { text } from 'node:stream/consumers'
import { generate } from 'selfsigned'

// A program of its own, since what it loads is needed once in the life of a server, and would stay in its memory.
// It reads a wish from standard input and writes the certificate and its key, as JSON both.

/** The names that the certificate is for, the first of them its subject; times in epoch ms. */
export type CertificateWish = { names: string[]; notBefore: number; notAfter: number }

const { names, notBefore, notAfter }: CertificateWish = JSON.parse(await text(process.stdin))
const altNames = names.map((name) => (isIP(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name }))
const made = await generate([{ name: 'commonName', value: names[0]!.slice(0, 64) }], {
  keyType: 'ec',
  notBeforeDate: new Date(notBefore),
  notAfterDate: new Date(notAfter),
  extensions: [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'subjectAltName', altNames },
  ],
})
process.stdout.write(JSON.stringify({ cert: made.cert, key: made.private }))
