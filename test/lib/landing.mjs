// Where an application would be: receives the authorization response and shows nothing.
import { createServer } from 'node:http'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/** A server whose `answers` are the parameters of each response that arrived at /callback. */
export async function landing () {
  const answers = []
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://localhost')
    const posted = await text(req)
    if (url.pathname === '/callback') answers.push(Object.fromEntries(posted ? new URLSearchParams(posted) : url.searchParams))
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    res.end('<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>landed</title><h1>landed</h1></html>')
  }).listen(0, 'localhost')
  await once(server, 'listening')
  const url = `http://localhost:${server.address().port}`
  return {
    url,
    callback: `${url}/callback`,
    answers,
    close () {
      server.close()
      server.closeAllConnections()
    }
  }
}

/** An authorization request of client to the provider. */
export function authorizeUrl (provider, client, place, more = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const url = new URL(`${provider.issuer}/oauth2/authorize`)
  const parameters = {
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: place.callback,
    scope: 'openid profile email',
    state: randomBytes(8).toString('hex'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return String(url)
}
