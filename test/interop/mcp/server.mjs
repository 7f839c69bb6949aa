// An MCP server with one tool, which says who asks. It takes access tokens of the provider that are
// meant for it (RFC 9068, RFC 8707) and tells others where to get one (RFC 9728).
import { once } from 'node:events'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'

function tools () {
  const server = new McpServer({ name: 'tools', version: '1' })
  server.registerTool('whoami', { description: 'Who asks' }, (extra) => ({
    content: [{ type: 'text', text: JSON.stringify({ client: extra.authInfo.clientId, scopes: extra.authInfo.scopes, sub: extra.authInfo.extra.sub }) }]
  }))
  return server
}

/** Starts it; answers its address and how to stop it. */
export async function serve (issuer, port) {
  const place = new URL(`http://localhost:${port}/mcp`)
  const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json() // RFC 8414 §3
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
  const verifier = {
    async verifyAccessToken (token) {
      const { payload } = await jwtVerify(token, keys, { issuer, audience: place.href, typ: 'at+jwt', algorithms: ['ES256'] })
        .catch((err) => { throw new InvalidTokenError(err.message) })
      return { token, clientId: payload.client_id, scopes: payload.scope.split(' '), expiresAt: payload.exp, resource: place, extra: { sub: payload.sub } }
    }
  }
  const app = createMcpExpressApp()
  app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: place, scopesSupported: ['tools.use'], resourceName: 'Tools' }))
  const guard = requireBearerAuth({ verifier, requiredScopes: ['tools.use'], expectedResource: place, resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(place) })
  app.post('/mcp', guard, async (req, res) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
    res.on('close', () => transport.close())
    await tools().connect(transport)
    await transport.handleRequest(req, res, req.body)
  })
  app.all('/mcp', (req, res) => res.status(405).end())
  const server = app.listen(port, 'localhost')
  await once(server, 'listening')
  return { place, close: () => { server.close(); server.closeAllConnections() } }
}
