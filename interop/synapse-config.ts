// What a Synapse under test is told. Everything in it serves one of three ends: to live on loopback, to be as quick as
// a test wants it, and never to be the one who says "too many requests".

import { randomBytes } from 'node:crypto'

const UNLIMITED = { per_second: 1_000_000, burst_count: 1_000_000 }

const RATE_LIMITS = {
  rc_message: UNLIMITED,
  rc_registration: UNLIMITED,
  rc_registration_token_validity: UNLIMITED,
  rc_login: { address: UNLIMITED, account: UNLIMITED, failed_attempts: UNLIMITED },
  rc_admin_redaction: UNLIMITED,
  rc_joins: { local: UNLIMITED, remote: UNLIMITED },
  rc_joins_per_room: UNLIMITED,
  rc_key_requests: UNLIMITED,
  rc_3pid_validation: UNLIMITED,
  rc_invites: { per_room: UNLIMITED, per_user: UNLIMITED, per_issuer: UNLIMITED },
  rc_third_party_invite: UNLIMITED,
  rc_media_create: UNLIMITED,
  rc_presence: { per_user: UNLIMITED },
  rc_delayed_event_mgmt: UNLIMITED,
  rc_room_creation: UNLIMITED,
  rc_reports: UNLIMITED,
  rc_user_directory: UNLIMITED,
  rc_federation: {
    window_size: 1000,
    sleep_limit: 1_000_000,
    sleep_delay: 1,
    reject_limit: 1_000_000,
    concurrent: 1000,
  },
}

/** Where a Synapse lives: its two ports and its folder as seen from inside its own root. */
type SynapsePlace = { serverName: string; tlsPort: number; httpPort: number; folder: string }

/**
 * The whole `homeserver.yaml`. It is JSON, which every YAML parser reads.
 *
 * @param caFiles PEM files (inside the root) of the only authorities that Synapse trusts for federation; with none it
 *   takes any certificate
 */
export function synapseConfig({ serverName, tlsPort, httpPort, folder }: SynapsePlace, caFiles: string[]): string {
  const listener = { type: 'http', bind_addresses: ['127.0.0.1'], resources: [{ names: ['client', 'federation'] }] }
  return JSON.stringify(
    {
      server_name: serverName,
      public_baseurl: `http://127.0.0.1:${httpPort}/`,
      listeners: [
        { ...listener, port: tlsPort, tls: true },
        { ...listener, port: httpPort, tls: false },
      ],
      tls_certificate_path: `${folder}/tls.crt`,
      tls_private_key_path: `${folder}/tls.key`,
      signing_key_path: `${folder}/signing.key`,
      media_store_path: `${folder}/media`,
      database: { name: 'sqlite3', args: { database: `${folder}/homeserver.db` } },
      macaroon_secret_key: 'of no worth: nothing outside this machine reaches this server',
      form_secret: 'the same',
      report_stats: false,
      presence: { enabled: false },
      bcrypt_rounds: 4,
      enable_registration: true,
      enable_registration_without_verification: true,
      // Its peers are on loopback, which both lists would otherwise close.
      ip_range_blacklist: [],
      federation_ip_range_blacklist: [],
      trusted_key_servers: [],
      suppress_key_server_warning: true,
      ...(caFiles.length > 0 ? { federation_custom_ca_list: caFiles } : { federation_verify_certificates: false }),
      // A peer that was away is tried again within a second or so, not after ten minutes.
      federation: {
        client_timeout: '10s',
        max_long_retry_delay: '1s',
        max_short_retry_delay: '1s',
        destination_min_retry_interval: '1s',
        destination_max_retry_interval: '1s',
      },
      ...RATE_LIMITS,
    },
    null,
    2,
  )
}

/** A fresh signing key in Synapse's own file format: algorithm, version, seed in unpadded base64. */
export function signingKey(): string {
  return `ed25519 a_test ${randomBytes(32).toString('base64').replace(/=+$/, '')}\n`
}
