import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { canonicalJson, isObject } from './json.ts'

/** A key that signs: its ID, such as `ed25519:a1`, and its two halves. `publicKey` is unpadded base64. */
export type SigningKey = { keyId: string; privateKey: KeyObject; publicKey: string }

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex')

/** Unpadded base64. Appendices, "Unpadded Base64". */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}

/** Reads base64, padded or not, URL-safe or not. */
export function decodeBase64(text: string): Buffer {
  return Buffer.from(text, 'base64')
}

/** @param seed 32 random bytes, the private key */
export function signingKeyFromSeed(keyId: string, seed: Uint8Array): SigningKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return { keyId, privateKey, publicKey: encodeBase64(spki.subarray(SPKI_ED25519.length)) }
}

/**
 * A public key ready to verify with.
 * @param publicKey base64 of 32 bytes
 * @returns `undefined` if it is not a key
 */
export function verifyKeyFrom(publicKey: string): KeyObject | undefined {
  const raw = decodeBase64(publicKey)
  if (raw.length !== 32) return undefined
  return createPublicKey({ key: Buffer.concat([SPKI_ED25519, raw]), format: 'der', type: 'spki' })
}

/** Signs a text; the signature is unpadded base64. */
export function signText(text: string, key: SigningKey): string {
  return encodeBase64(sign(null, Buffer.from(text), key.privateKey))
}

/** Whether `signature` (base64) is the key's over the text. Never throws. */
export function verifyText(text: string, signature: string, key: KeyObject): boolean {
  const bytes = decodeBase64(signature)
  return bytes.length === 64 && verify(null, Buffer.from(text), key, bytes)
}

/** The text that is signed for an object: canonical JSON without `signatures` and `unsigned`. */
function signedText(object: object): string | undefined {
  const { signatures: _, unsigned: __, ...rest } = object as Record<string, unknown>
  return canonicalJson(rest)
}

/**
 * A copy of `object` with `signer`'s signature added. Appendices, "Signing JSON".
 * @throws {TypeError} if the object has no canonical form: a bug of ours
 */
export function signJson<T extends object>(
  object: T,
  signer: string,
  key: SigningKey,
): T & { signatures: Record<string, Record<string, string>> } {
  const text = signedText(object)
  if (text === undefined) throw new TypeError('an object to sign must have a canonical form')
  const old = (object as { signatures?: Record<string, Record<string, string>> }).signatures ?? {}
  return { ...object, signatures: { ...old, [signer]: { ...old[signer], [key.keyId]: signText(text, key) } } }
}

/** The signature (base64) in `object.signatures[signer][keyId]`, if it is there. Own members only. */
export function signatureOf(object: object, signer: string, keyId: string): string | undefined {
  const { signatures } = object as { signatures?: unknown }
  if (!isObject(signatures) || !Object.hasOwn(signatures, signer)) return undefined
  const bySigner = signatures[signer]
  if (!isObject(bySigner) || !Object.hasOwn(bySigner, keyId)) return undefined
  const signature = bySigner[keyId]
  return typeof signature === 'string' ? signature : undefined
}

/** Whether `object` carries a good signature by `signer` with that key. Appendices, "Checking for a Signature". */
export function verifyJson(object: object, signer: string, keyId: string, key: KeyObject): boolean {
  const signature = signatureOf(object, signer, keyId)
  const text = signature === undefined ? undefined : signedText(object)
  return text !== undefined && verifyText(text, signature!, key)
}
