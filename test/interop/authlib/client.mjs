// Authlib: its Flask integration as a web application, its session as a service, its resource protector as an API.
import { readFileSync } from 'node:fs'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']
const device = 'urn:ietf:params:oauth:grant-type:device_code'

export const client = {
  title: 'Authlib',
  language: 'Python',
  version: () => /^Authlib==(.+)$/m.exec(readFileSync(new URL('requirements.txt', import.meta.url), 'utf8'))[1],
  flows: [
    'code', 'refresh', 'private_key_jwt', 'client_credentials', 'introspection', 'revocation', 'device', 'logout', 'api_jwt', 'api_opaque'
  ],

  config ({ callback, bye, audience, jwks }) {
    const scopes = ['openid', 'profile', 'email', 'offline_access', 'orders.read']
    const web = (id, more) => ({
      id, name: id, kind: 'web', secret, redirect_uris: [callback], post_logout_redirect_uris: [bye], grant_types: grants, scopes, audiences: [audience], ...more
    })
    return {
      clients: [
        web('web'),
        web('keyed', { secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks }),
        web('opaque', { access_token_format: 'opaque' }),
        { id: 'machine', name: 'machine', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience] },
        { id: 'tv', name: 'Television', kind: 'native', grant_types: [device, 'refresh_token'], scopes: scopes.slice(0, 4) }
      ]
    }
  },

  run: (rig) => rig.program(process.env.INTEROP_PYTHON, ['flows.py'], { cwd: new URL('.', import.meta.url).pathname })
}
