// go-oidc with golang.org/x/oauth2.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from '../../lib/processes.mjs'
import { secret } from '../rig.mjs'

const grants = ['authorization_code', 'refresh_token']
const device = 'urn:ietf:params:oauth:grant-type:device_code'

export const client = {
  title: 'go-oidc',
  language: 'Go',
  version: () => /github\.com\/coreos\/go-oidc\/v3 v(\S+)/.exec(readFileSync(join(root, 'go.mod'), 'utf8'))[1],
  flows: ['code', 'public', 'refresh', 'client_credentials', 'device', 'logout', 'api_jwt'],

  config ({ callback, bye, audience }) {
    const scopes = ['openid', 'profile', 'email', 'offline_access']
    return {
      clients: [
        { id: 'web', name: 'web', kind: 'web', secret, redirect_uris: [callback], post_logout_redirect_uris: [bye], grant_types: grants, scopes },
        { id: 'tool', name: 'Tool', kind: 'native', redirect_uris: ['http://127.0.0.1/callback'], scopes },
        { id: 'machine', name: 'machine', kind: 'machine', secret, scopes: ['orders.read'], audiences: [audience] },
        { id: 'tv', name: 'Television', kind: 'native', grant_types: [device, 'refresh_token'], scopes }
      ]
    }
  },

  async run (rig) {
    const program = join(rig.dir.path, 'go-oidc')
    await run('go', ['build', '-o', program, './test/interop/go-oidc'], { cwd: root })
    await rig.program(program, [])
  }
}
