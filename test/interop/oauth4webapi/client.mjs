// oauth4webapi, what openid-client stands on: each step by itself, here over https.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']
const device = 'urn:ietf:params:oauth:grant-type:device_code'

export const client = {
  title: 'oauth4webapi',
  language: 'JavaScript',
  version: () => JSON.parse(readFileSync(new URL('package.json', import.meta.url))).dependencies.oauth4webapi,
  https: true,
  flows: [
    'code', 'refresh', 'private_key_jwt', 'mtls', 'client_credentials', 'introspection', 'introspection_jwt', 'revocation', 'par', 'jar', 'jarm', 'dpop',
    'fapi', 'message_signing', 'hybrid', 'device', 'registration', 'logout', 'api_jwt', 'api_dpop'
  ],

  /** A certificate of its own, which nobody signed (RFC 8705 §2.2). */
  prepare (rig) {
    const [cert, key] = ['client.pem', 'client.key'].map((name) => join(rig.dir.path, name))
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=interop', '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const der = execFileSync('openssl', ['x509', '-in', cert, '-outform', 'DER'])
    rig.certificate = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), x5c: [der.toString('base64')] }
  },

  config ({ callback, bye, audience, jwks, mtls, certificate }) {
    const web = (id, more = {}, metadata) => ({
      id, name: id, kind: 'web', secret, redirect_uris: [callback], post_logout_redirect_uris: [bye], grant_types: grants,
      scopes: ['openid', 'profile', 'email', 'offline_access', 'orders.read'], audiences: [audience], ...more, ...(metadata && { metadata })
    })
    const keyed = { secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks }
    const bank = { ...keyed, redirect_uris: [callback.replace('http:', 'https:')] }
    return {
      oauth: { legacy_response_types: true, dpop_nonce: true },
      registration: { mode: 'open' },
      mtls,
      clients: [
        web('web'),
        web('keyed', keyed),
        web('tls', { secret: undefined, token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [certificate] } }, { tls_client_certificate_bound_access_tokens: true }),
        { id: 'machine', name: 'machine', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience], metadata: { introspection_signed_response_alg: 'ES256' } },
        { id: 'robot', name: 'robot', kind: 'machine', scopes: ['orders.read'], audiences: [audience], metadata: { dpop_bound_access_tokens: true }, ...keyed },
        web('jar', { jwks }, { require_signed_request_object: true, request_object_signing_alg: 'ES256' }),
        web('jarm', {}, { authorization_signed_response_alg: 'ES256' }),
        web('dpop', {}, { dpop_bound_access_tokens: true }),
        web('fapi', bank, { profile: 'fapi2', dpop_bound_access_tokens: true }),
        web('signing', bank, { profile: 'fapi2_message_signing', dpop_bound_access_tokens: true, authorization_signed_response_alg: 'ES256' }),
        web('hybrid', { response_types: ['code id_token'], grant_types: [...grants, 'implicit'] }),
        { id: 'tv', name: 'Television', kind: 'native', grant_types: [device, 'refresh_token'], scopes: ['openid', 'profile', 'email', 'offline_access'] }
      ]
    }
  },

  run: async (rig) => (await import('./flows.mjs')).run(rig)
}
