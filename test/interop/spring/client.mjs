// Spring Security in a small Spring Boot application: signs people in, and guards two APIs.
import { readFileSync } from 'node:fs'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'

export const client = {
  title: 'Spring Security',
  language: 'Java',
  version: () => 'Spring Boot ' + /<version>([^<]+)/.exec(readFileSync(new URL('pom.xml', import.meta.url), 'utf8'))[1],
  slow: true,
  front: true,
  flows: ['code', 'refresh', 'private_key_jwt', 'client_credentials', 'token_exchange', 'logout', 'backchannel_logout', 'api_jwt', 'api_opaque', 'api_dpop'],

  config ({ app, front, bye, audience, jwks }) {
    const scopes = ['openid', 'profile', 'email', 'offline_access', 'orders.read']
    const web = (id, more) => ({
      id, name: id, kind: 'web', secret, redirect_uris: [`${app}/login/oauth2/code/${id}`], post_logout_redirect_uris: [bye], grant_types: grants,
      scopes, audiences: [audience], id_token_signed_response_alg: 'RS256', ...more // Spring takes no other unless it is told to
    })
    const machine = (id, more) => ({ id, name: id, kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience], ...more })
    return {
      clients: [
        web('web', { metadata: { backchannel_logout_uri: `${front}/logout/connect/back-channel/web` } }),
        web('keyed', { secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks }),
        web('orders'),
        machine('machine'),
        machine('opaque', { access_token_format: 'opaque' }),
        web('exchanger', {
          grant_types: [exchange], redirect_uris: undefined, post_logout_redirect_uris: undefined, scopes: ['orders.read'],
          metadata: { token_exchange_clients: ['orders'] }
        })
      ]
    }
  },

  run: async (rig) => (await import('./flows.mjs')).run(rig)
}
