import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createSecureContext } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { CertificateWish } from './make-certificate.ts'

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
  const names = [...new Set([host, 'localhost', '127.0.0.1', '::1'])]
  const made = await make({ names, notBefore: now - 3_600_000, notAfter: now + VALID_DAYS * 24 * 3_600_000 })
  await writeFile(keyFile, made.key, { mode: 0o600 })
  await writeFile(certFile, made.cert)
  return made
}

/** Runs `make-certificate.ts`. */
async function make(wish: CertificateWish): Promise<Certificate> {
  const program = fileURLToPath(new URL('./make-certificate.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(wish))
  const [answer] = await Promise.all([text(child.stdout), once(child, 'exit')])
  if (child.exitCode !== 0) throw new Error('the self-made certificate could not be made')
  return JSON.parse(answer)
}
