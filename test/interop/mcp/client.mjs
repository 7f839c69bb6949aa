// The client of the MCP TypeScript SDK, against an MCP server made with the same SDK: it knows the
// server's address and finds everything else.
import { readFileSync } from 'node:fs'
import { callback, secret } from '../rig.mjs'

export const client = {
  title: 'MCP TypeScript SDK',
  short: 'MCP SDK',
  language: 'TypeScript',
  version: () => JSON.parse(readFileSync(new URL('package.json', import.meta.url))).dependencies['@modelcontextprotocol/sdk'],
  front: true,
  flows: ['resource', 'refresh', 'client_credentials', 'private_key_jwt', 'registration', 'client_document'],

  /** The client's document (Client ID Metadata Document): its address is the client_id. */
  answer (rig, req, res) {
    if (req.url !== '/client.json') return false
    res.setHeader('content-type', 'application/json')
    res.end(JSON.stringify({
      client_id: `${rig.front.url}/client.json`, client_name: 'Described client', redirect_uris: [callback],
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none'
    }))
    return true
  },

  config ({ app, callback, jwks }) {
    const scopes = ['tools.use', 'offline_access']
    const audiences = [`${app}/mcp`]
    return {
      oauth: { client_documents: true },
      registration: { mode: 'open', scopes },
      apis: [{ audience: `${app}/mcp`, name: 'Tools', scopes: { 'tools.use': 'Use the tools' } }],
      clients: [
        { id: 'known', name: 'Known', kind: 'native', redirect_uris: [callback], grant_types: ['authorization_code', 'refresh_token'], scopes, audiences },
        { id: 'machine', name: 'Machine', kind: 'machine', secret, scopes: ['tools.use'], audiences },
        { id: 'keyed', name: 'Keyed', kind: 'machine', token_endpoint_auth_method: 'private_key_jwt', jwks, scopes: ['tools.use'], audiences }
      ]
    }
  },

  run: async (rig) => (await import('./flows.mjs')).run(rig)
}
