// oidc-client-ts in Chromium: a page of another origin that does everything itself.
import { readFileSync } from 'node:fs'

const grants = ['authorization_code', 'refresh_token']

export const client = {
  title: 'oidc-client-ts',
  language: 'TypeScript, in Chromium',
  version: () => JSON.parse(readFileSync(new URL('package.json', import.meta.url))).dependencies['oidc-client-ts'],
  flows: ['public', 'cors', 'refresh', 'silent_renew', 'revocation', 'dpop', 'logout', 'session'],

  config ({ app }) {
    const spa = (id, more) => ({
      id, name: id, kind: 'spa', redirect_uris: [`${app}/callback`, `${app}/silent`], post_logout_redirect_uris: [`${app}/`], grant_types: grants,
      scopes: ['openid', 'profile', 'email', 'offline_access'], ...more
    })
    // Nobody is asked in a hidden frame, and a public client on this machine could be anybody: only the operator's own renews so.
    return { clients: [spa('page'), spa('own', { first_party: true }), spa('bound', { metadata: { dpop_bound_access_tokens: true } })] }
  },

  run: async (rig) => (await import('./flows.mjs')).run(rig)
}
