import { readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'

/** PEM of a certificate and its key. */
export type Certificate = { cert: string; key: string }

const VALID_DAYS = 3_650

/**
 * Reads a certificate and its key.
 * @throws {Error} in one line, if they cannot be read or do not go together
 */
export async function readCertificate(certFile: string, keyFile: string): Promise<Certificate> {
  const [cert, key] = await Promise.all([certFile, keyFile].map((file) => readFile(file, 'utf8')))
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    throw new Error(`${certFile} and ${keyFile} are no certificate with its key: ${(error as Error).message}`)
  }
  return { cert: cert!, key: key! }
}

/**
 * The self-made certificate of a data folder, made at the first start. Other servers do not trust it unless they are told
 * to; a server on the internet has a reverse proxy with a real one, or files that the settings name.
 * @param host the host in the server name
 * @param now epoch ms
 */
export async function selfMadeCertificate(dataDir: string, host: string, now: number): Promise<Certificate> {
  const [certFile, keyFile] = [join(dataDir, 'tls.crt'), join(dataDir, 'tls.key')]
  const known = await readFile(certFile, 'utf8').catch(() => undefined)
  if (known !== undefined) return readCertificate(certFile, keyFile)
  const { generate } = await import('selfsigned')
  const names = new Set([host, 'localhost', '127.0.0.1', '::1'])
  const altNames = [...names].map((name) =>
    isIP(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name },
  )
  const made = await generate([{ name: 'commonName', value: host.slice(0, 64) }], {
    keyType: 'ec',
    notBeforeDate: new Date(now - 3_600_000),
    notAfterDate: new Date(now + VALID_DAYS * 24 * 3_600_000),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'subjectAltName', altNames },
    ],
  })
  await writeFile(keyFile, made.private, { mode: 0o600 })
  await writeFile(certFile, made.cert)
  return { cert: made.cert, key: made.private }
}
