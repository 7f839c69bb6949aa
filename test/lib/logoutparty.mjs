// An application that takes part in sign-outs: it is told in hidden frames, watches the session from
// a page of its own, and knows when somebody has come back.
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { authorizeUrl } from './landing.mjs'

const page = (body) => `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>application</title><h1>application</h1>${body}</html>`

// The application's side of OIDC Session Management §3.1: `ask` resolves to what the frame answers.
const watch = (iframe) => page(`<iframe id="op" src="${iframe}" hidden></iframe><script>
const loaded = new Promise((resolve) => addEventListener('load', resolve))
async function ask (question, patience = 8000) {
  await loaded
  return new Promise((resolve) => {
    addEventListener('message', (event) => { if (event.origin === new URL('${iframe}').origin) resolve(event.data) })
    document.getElementById('op').contentWindow.postMessage(question, '${iframe}')
    setTimeout(() => resolve('silence'), patience)
  })
}
</script>`)

export class LogoutParty {
  /** `host` decides whose cookies a browser sends along: localhost is the provider's own site. */
  static async start (host = 'localhost') {
    const party = new LogoutParty()
    party.log = [] // paths with their queries, in order; `loaded` and the cookie that came along
    party.stuck = false // frames get no answer
    party.server = createServer((req, res) => {
      const url = new URL(req.url, 'http://application')
      if (req.url !== '/favicon.ico') party.log.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), from: req.headers.referer ?? '', cookie: req.headers.cookie ?? '' })
      if (url.pathname === '/out' && party.stuck) return
      res.setHeader('Content-Type', 'text/html; charset=utf-8')
      if (url.pathname === '/callback') res.setHeader('Set-Cookie', 'application=signed-in; Path=/')
      res.end(url.pathname === '/watch' ? watch(party.iframe) : page(''))
    }).listen(0, '127.0.0.1')
    await once(party.server, 'listening')
    party.url = `http://${host}:${party.server.address().port}`
    party.callback = `${party.url}/callback`
    return party
  }

  /** Registers it; `more` are further flags. */
  async register (provider, name, ...more) {
    this.provider = provider
    this.client = await provider.client('--kind', 'web', '--first-party', '--name', name, '--redirect-uri', this.callback,
      '--post-logout-redirect-uri', `${this.url}/bye`, ...more)
    this.iframe = `${provider.issuer}/oauth2/session`
  }

  seen (path) { return this.log.filter((one) => one.path === path) }

  /** The address that begins a sign-in here. */
  signInUrl () {
    this.verifier = randomBytes(32).toString('base64url')
    return authorizeUrl(this.provider, this.client, this, { scope: 'openid', code_challenge: createHash('sha256').update(this.verifier).digest('base64url') })
  }

  /** The last answer of the provider, with the ID token that its code was good for. */
  async signedIn () {
    const { query } = this.seen('/callback').at(-1)
    const answer = await fetch(`${this.provider.issuer}/oauth2/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${this.client.client_id}:${this.client.client_secret}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'authorization_code', code: query.code, redirect_uri: this.callback, code_verifier: this.verifier })
    })
    const tokens = await answer.json()
    if (!tokens.id_token) throw new Error(JSON.stringify(tokens))
    return { ...query, idToken: tokens.id_token, claims: JSON.parse(Buffer.from(tokens.id_token.split('.')[1], 'base64url')) }
  }

  logoutUrl (idToken, state) {
    const url = new URL(`${this.provider.issuer}/oauth2/logout`)
    for (const [name, value] of Object.entries({ id_token_hint: idToken, post_logout_redirect_uri: `${this.url}/bye`, state })) url.searchParams.set(name, value)
    return String(url)
  }

  close () {
    this.server.close()
    this.server.closeAllConnections()
  }
}
