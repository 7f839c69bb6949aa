// openid-client, certified for FAPI 2.0: the widest strict client for Node.
import { readFileSync } from 'node:fs'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']
const device = 'urn:ietf:params:oauth:grant-type:device_code'
const bearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const ciba = 'urn:openid:params:grant-type:ciba'
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'

export const client = {
  title: 'openid-client',
  language: 'JavaScript',
  version: () => JSON.parse(readFileSync(new URL('package.json', import.meta.url))).dependencies['openid-client'],
  flows: [
    'code', 'public', 'form_post', 'hybrid', 'implicit', 'claims', 'userinfo_jwt', 'refresh', 'private_key_jwt', 'client_secret_jwt', 'client_credentials',
    'introspection', 'revocation', 'par', 'jar', 'jarm', 'dpop', 'fapi', 'message_signing', 'rar', 'encryption', 'device', 'ciba', 'ciba_ping',
    'token_exchange', 'jwt_bearer',
    'registration', 'logout'
  ],

  front: true,
  /** The place where the provider says that a person has decided (CIBA §10.2). */
  answer (rig, req, res) {
    rig.pinged?.(req)
    res.writeHead(204).end()
    return true
  },

  config ({ callback, bye, audience, jwks, front }) {
    const web = (id, more = {}, metadata) => ({
      id, name: id, kind: 'web', secret, redirect_uris: [callback], post_logout_redirect_uris: [bye], grant_types: grants,
      scopes: ['openid', 'profile', 'email', 'offline_access', 'orders.read'], audiences: [audience], ...more, ...(metadata && { metadata })
    })
    const keyed = { secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks }
    const bank = { ...keyed, redirect_uris: [callback.replace('http:', 'https:')] }
    const asker = (id, metadata) => web(id, { redirect_uris: undefined, post_logout_redirect_uris: undefined, grant_types: [ciba, 'refresh_token'] }, metadata)
    return {
      ciba: { interval: '1s' },
      oauth: { legacy_response_types: true, authorization_details_types: { payment_initiation: 'Start a payment' } },
      registration: { mode: 'token' },
      jwt_issuers: [{ name: 'ci', issuer: 'https://ci.example.com', jwks: { keys: jwks.keys.filter((key) => key.kid === 'interop-1') }, subject: 'email' }],
      clients: [
        web('web'),
        { id: 'public', name: 'public', kind: 'spa', redirect_uris: [callback], grant_types: grants, scopes: ['openid', 'profile', 'email', 'offline_access'] },
        web('keyed', keyed),
        { id: 'machine', name: 'machine', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience] },
        web('par', {}, { require_pushed_authorization_requests: true }),
        web('jar', { jwks }, { require_signed_request_object: true, request_object_signing_alg: 'ES256' }),
        web('jarm', {}, { authorization_signed_response_alg: 'ES256' }),
        web('dpop', {}, { dpop_bound_access_tokens: true }),
        web('fapi', bank, { profile: 'fapi2', dpop_bound_access_tokens: true }),
        web('signing', bank, { profile: 'fapi2_message_signing', dpop_bound_access_tokens: true, authorization_signed_response_alg: 'ES256' }),
        web('rar', {}, { authorization_details_types: ['payment_initiation'] }),
        web('encrypted', { jwks }, { id_token_encrypted_response_alg: 'RSA-OAEP-256', id_token_encrypted_response_enc: 'A256GCM' }),
        web('symmetric', { token_endpoint_auth_method: 'client_secret_jwt' }),
        web('informed', { scopes: ['openid', 'profile', 'email'] }, { userinfo_signed_response_alg: 'ES256' }),
        web('implicit', { response_types: ['id_token'], grant_types: ['implicit'], scopes: ['openid', 'email'], audiences: undefined }),
        web('deploy', { first_party: true, grant_types: ['authorization_code', bearer], scopes: ['openid', 'orders.read'] }, { jwt_bearer_issuers: ['ci'] }),
        web('hybrid', { response_types: ['code id_token'], grant_types: [...grants, 'implicit'] }),
        { id: 'tv', name: 'Television', kind: 'native', grant_types: [device, 'refresh_token'], scopes: ['openid', 'profile', 'email', 'offline_access'] },
        asker('asker'),
        asker('pinged', { backchannel_token_delivery_mode: 'ping', backchannel_client_notification_endpoint: `${front}/ping` }),
        web('exchanger', { grant_types: [exchange], redirect_uris: undefined, post_logout_redirect_uris: undefined, scopes: ['orders.read'] }, { token_exchange_clients: ['web'] })
      ]
    }
  },

  run: async (rig) => (await import('./flows.mjs')).run(rig)
}
