// The openidconnect crate.
import { readFileSync } from 'node:fs'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']
const device = 'urn:ietf:params:oauth:grant-type:device_code'

export const client = {
  title: 'openidconnect',
  language: 'Rust',
  version: () => /openidconnect = \{ version = "=([^"]+)"/.exec(readFileSync(new URL('Cargo.toml', import.meta.url), 'utf8'))[1],
  slow: true,
  flows: ['code', 'public', 'refresh', 'client_credentials', 'introspection', 'device', 'registration', 'logout'],

  config ({ callback, bye, audience }) {
    const scopes = ['openid', 'profile', 'email', 'offline_access']
    return {
      registration: { mode: 'open' },
      clients: [
        { id: 'web', name: 'web', kind: 'web', secret, redirect_uris: [callback], post_logout_redirect_uris: [bye], grant_types: grants, scopes },
        { id: 'public', name: 'public', kind: 'native', redirect_uris: [callback], grant_types: grants, scopes },
        { id: 'machine', name: 'machine', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience] },
        { id: 'tv', name: 'Television', kind: 'native', grant_types: [device, 'refresh_token'], scopes }
      ]
    }
  },

  run: (rig) => rig.program(process.env.INTEROP_RUST, [])
}
