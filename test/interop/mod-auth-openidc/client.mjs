// mod_auth_openidc of Debian: Apache signs people in before it serves anything, and guards an API.
import { execFileSync } from 'node:child_process'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']

export const client = {
  title: 'mod_auth_openidc',
  language: 'C, in Apache',
  version: () => execFileSync('dpkg-query', ['-W', '-f', '${source:Upstream-Version}', 'libapache2-mod-auth-openidc'], { encoding: 'utf8' }),
  slow: true,
  https: true, // it takes no keys over http
  front: true,
  ports: 6,
  flows: ['code', 'form_post', 'refresh', 'jar', 'encryption', 'logout', 'backchannel_logout', 'frontchannel_logout', 'api_jwt', 'api_opaque'],

  config ({ ports, front, bye, audience, jwks }) {
    const web = (id, port, more) => ({
      id, name: id, kind: 'web', secret, redirect_uris: [`http://localhost:${port}/protected/callback`], post_logout_redirect_uris: [bye], grant_types: grants,
      scopes: ['openid', 'profile', 'email', 'offline_access'], ...more
    })
    return {
      clients: [
        web('web', ports[0], {
          metadata: {
            backchannel_logout_uri: `${front}/protected/callback?logout=backchannel`,
            frontchannel_logout_uri: `http://localhost:${ports[0]}/protected/callback?logout=get`, frontchannel_logout_session_required: true
          }
        }),
        web('post', ports[1]),
        web('signed', ports[2], { jwks, metadata: { require_signed_request_object: true, request_object_signing_alg: 'RS256' } }),
        web('encrypted', ports[3], { jwks, metadata: { id_token_encrypted_response_alg: 'RSA-OAEP', id_token_encrypted_response_enc: 'A256GCM' } }),
        { id: 'machine', name: 'machine', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience] },
        { id: 'opaque', name: 'opaque', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience], access_token_format: 'opaque' }
      ]
    }
  },

  run: async (rig) => (await import('./flows.mjs')).run(rig)
}
