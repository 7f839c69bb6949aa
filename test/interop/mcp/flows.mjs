import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { UnauthorizedError, auth } from '@modelcontextprotocol/sdk/client/auth.js'
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { callback, secret } from '../rig.mjs'
import { serve } from './server.mjs'

/** What an MCP host keeps for its client; the browser is a person of the rig's. */
class Host {
  constructor (rig, { known, document } = {}) {
    this.rig = rig
    this.information = known
    this.clientMetadataUrl = document
    this.redirectUrl = callback
    this.clientMetadata = {
      client_name: 'Interop host', redirect_uris: [callback], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
      token_endpoint_auth_method: 'none'
    }
  }

  state () { return 'kept' }
  clientInformation () { return this.information }
  saveClientInformation (information) { this.information = information }
  tokens () { return this.kept }
  saveTokens (tokens) { this.kept = tokens }
  saveCodeVerifier (verifier) { this.verifier = verifier }
  codeVerifier () { return this.verifier }
  async redirectToAuthorization (url) {
    this.asked = url
    this.landed = await this.rig.person().enter(url)
  }
}

export async function run (rig) {
  const { flow, issuer } = rig
  const server = await serve(issuer, rig.port)

  async function whoami (provider) {
    const client = new Client({ name: 'interop', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(server.place, { authProvider: provider }))
    const { content } = await client.callTool({ name: 'whoami' })
    await client.close()
    return JSON.parse(content[0].text)
  }

  /** Connects as a host does that knows nothing but the address of the server. */
  async function connect (host) {
    const transport = new StreamableHTTPClientTransport(server.place, { authProvider: host })
    await assert.rejects(new Client({ name: 'interop', version: '1' }).connect(transport), UnauthorizedError)
    assert.equal(host.asked.origin, issuer)
    assert.equal(host.asked.searchParams.get('resource'), server.place.href, 'RFC 8707')
    assert.equal(host.asked.searchParams.get('code_challenge_method'), 'S256')
    assert.equal(host.landed.searchParams.get('state'), 'kept')
    await transport.finishAuth(host.landed.searchParams.get('code'))
    const who = await whoami(host)
    assert.ok(who.scopes.includes('tools.use'))
    return who
  }

  try {
    await flow('resource', async () => {
      const who = await connect(new Host(rig, { known: { client_id: 'known', issuer } }))
      assert.equal(who.client, 'known')
    })

    await flow('refresh', async () => {
      const host = new Host(rig, { known: { client_id: 'known', issuer } })
      const asked = { serverUrl: server.place, scope: 'tools.use offline_access' }
      assert.equal(await auth(host, asked), 'REDIRECT')
      assert.equal(await auth(host, { ...asked, authorizationCode: host.landed.searchParams.get('code') }), 'AUTHORIZED')
      const first = host.kept
      assert.ok(first.refresh_token)
      assert.equal(await auth(host, asked), 'AUTHORIZED')
      assert.notEqual(host.kept.access_token, first.access_token)
      assert.equal((await whoami(host)).client, 'known')
    })

    await flow('client_credentials', async () => {
      const who = await whoami(new ClientCredentialsProvider({ clientId: 'machine', clientSecret: secret, expectedIssuer: issuer, scope: 'tools.use' }))
      assert.equal(who.sub, 'machine')
    })

    await flow('private_key_jwt', async () => {
      const who = await whoami(new PrivateKeyJwtProvider({ clientId: 'keyed', privateKey: rig.keys.sig.private, algorithm: 'ES256', expectedIssuer: issuer, scope: 'tools.use' }))
      assert.equal(who.sub, 'keyed')
    })

    await flow('registration', async () => {
      const host = new Host(rig)
      const who = await connect(host)
      assert.equal(who.client, host.information.client_id)
    })

    await flow('client_document', async () => {
      const document = `${rig.front.url}/client.json`
      assert.equal((await connect(new Host(rig, { document }))).client, document)
    })
  } finally {
    server.close()
  }
}
