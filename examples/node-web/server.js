// A web application whose login is a redirect to Signet: openid-client for the protocol, plain
// node:http for the rest, sessions in memory.
import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import * as oidc from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT = '4004' } = process.env
const base = `http://localhost:${PORT}`
const issuer = new URL(ISSUER)

// Plain http is for trying things out on this machine; anything else must be https.
const local = issuer.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(issuer.hostname)
const provider = await oidc.discovery(issuer, CLIENT_ID, CLIENT_SECRET, oidc.ClientSecretBasic(CLIENT_SECRET), {
  execute: local ? [oidc.allowInsecureRequests] : [],
})

const COOKIE = 'node_web_example'
const LOGIN_TIME = 15 * 60_000
const SESSION_TIME = 12 * 3600_000
const sessions = new Map() // id -> { pending?, user?, idToken?, expires }

function sessionOf (req) {
  const id = new RegExp(`(?:^|; )${COOKIE}=([\\w-]+)`).exec(req.headers.cookie ?? '')?.[1]
  const session = sessions.get(id)
  if (!session || session.expires < Date.now()) return { id, session: undefined }
  return { id, session }
}

function startSession (res, session, time) {
  for (const [id, other] of sessions) if (other.expires < Date.now()) sessions.delete(id)
  const id = randomBytes(32).toString('base64url')
  sessions.set(id, { ...session, expires: Date.now() + time })
  // Lax: sent on the redirect back from Signet, not with another site's form. Behind https add
  // Secure and the prefix __Host-.
  res.setHeader('Set-Cookie', `${COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax`)
}

const escape = (text) => String(text ?? '').replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

function page (res, status, body) {
  res.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' })
  res.end(`<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Node web example</title><h1>Node web example</h1>${body}</html>`)
}

function redirect (res, url) {
  res.writeHead(303, { Location: String(url) }).end()
}

const routes = {
  'GET /' (req, res) {
    const user = sessionOf(req).session?.user
    page(res, 200, user
      ? `<p>Signed in as <b id="name">${escape(user.name ?? user.sub)}</b> (<span id="email">${escape(user.email)}</span>).</p>
         <form method="post" action="/logout"><button>Log out</button></form>`
      : '<p><a href="/login">Log in</a></p>')
  },

  async 'GET /login' (req, res) {
    const pending = { verifier: oidc.randomPKCECodeVerifier(), state: oidc.randomState(), nonce: oidc.randomNonce() }
    startSession(res, { pending }, LOGIN_TIME)
    redirect(res, oidc.buildAuthorizationUrl(provider, {
      redirect_uri: `${base}/callback`,
      scope: 'openid profile email',
      code_challenge: await oidc.calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: 'S256',
      state: pending.state,
      nonce: pending.nonce,
    }))
  },

  async 'GET /callback' (req, res) {
    const { id, session } = sessionOf(req)
    sessions.delete(id) // a pending login is answered once
    if (!session?.pending) return page(res, 400, '<p>This login was not started in this browser.</p>')
    let tokens, user
    try {
      tokens = await oidc.authorizationCodeGrant(provider, new URL(req.url, base), {
        pkceCodeVerifier: session.pending.verifier,
        expectedState: session.pending.state,
        expectedNonce: session.pending.nonce,
        idTokenExpected: true,
      })
      // Name and e-mail are not in the ID token when there is an access token to ask with (OIDC
      // Core §5.4); the last argument makes sure that both are about the same person.
      user = await oidc.fetchUserInfo(provider, tokens.access_token, tokens.claims().sub)
    } catch (err) {
      console.error('login failed:', err.error ?? err.code ?? err.message)
      return page(res, 400, `<p>Login failed: ${escape(err.error ?? 'the answer did not verify')}.</p><p><a href="/login">Try again</a></p>`)
    }
    startSession(res, { user, idToken: tokens.id_token }, SESSION_TIME)
    redirect(res, '/')
  },

  'POST /logout' (req, res) {
    const { id, session } = sessionOf(req)
    sessions.delete(id)
    redirect(res, oidc.buildEndSessionUrl(provider, {
      post_logout_redirect_uri: `${base}/`,
      ...(session?.idToken && { id_token_hint: session.idToken }),
    }))
  },
}

createServer(async (req, res) => {
  try {
    const handler = routes[`${req.method} ${new URL(req.url, base).pathname}`]
    await (handler ? handler(req, res) : page(res, 404, '<p>No such page.</p>'))
  } catch (err) {
    console.error(err)
    if (!res.headersSent) page(res, 500, '<p>Something went wrong.</p>')
  }
}).listen(Number(PORT), 'localhost', () => console.log(`open ${base}`))
