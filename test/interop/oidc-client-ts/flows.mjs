import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { launch, visit } from '../../lib/browser.mjs'
import { button, logIn } from '../../lib/pages.mjs'
import { password } from '../../lib/signet.mjs'
import { email, name } from '../people.mjs'

const library = readFileSync(new URL('node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', import.meta.url))
const script = readFileSync(new URL('page.js', import.meta.url))
const page = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>app</title><script src="/oidc-client-ts.js"></script><script src="/page.js"></script><main><h1>app</h1></main></html>'

export async function run (rig) {
  const { flow, issuer } = rig
  const app = `http://localhost:${rig.port}`
  const server = createServer((req, res) => {
    const [kind, body] = { '/oidc-client-ts.js': ['text/javascript', library], '/page.js': ['text/javascript', script] }[req.url] ?? ['text/html', page]
    res.setHeader('content-type', `${kind}; charset=utf-8`)
    res.end(body)
  }).listen(rig.port, 'localhost')
  await once(server, 'listening')
  const browser = await launch()

  /** In the page: a UserManager of the library, kept for what follows. */
  const manage = (page, settings) => page.evaluate((settings) => globalThis.manage(settings), { authority: issuer, ...settings })

  /** From the application to the provider and back; answers what the library made of it. */
  async function signIn (page, settings) {
    await page.goto(`${app}/`)
    await manage(page, settings)
    await page.evaluate(() => { globalThis.manager.signinRedirect() })
    await page.waitForURL((url) => url.origin !== app)
    if (await page.locator('#identifier').count()) await logIn(page, { email, password })
    if (settings.client_id !== 'own') await page.click(button('answer', 'allow'))
    await page.waitForURL(`${app}/callback**`)
    await manage(page, settings)
    return page.evaluate(async () => globalThis.plain(await globalThis.manager.signinCallback()))
  }

  const scope = 'openid profile email offline_access'
  const inChromium = (id, run) => flow(id, () => visit(browser, {}, ({ page, context }) => run(page, context)))

  try {
    await inChromium('public', async (page) => {
      const user = await signIn(page, { client_id: 'page', scope, loadUserInfo: false })
      assert.equal(user.profile.iss, issuer)
      assert.ok(user.access_token)
    })

    await inChromium('cors', async (page) => {
      const user = await signIn(page, { client_id: 'page', scope, loadUserInfo: true })
      assert.equal(user.profile.email, email)
      assert.equal(user.profile.name, name)
    })

    await inChromium('refresh', async (page) => {
      const first = await signIn(page, { client_id: 'page', scope })
      const second = await page.evaluate(async () => globalThis.plain(await globalThis.manager.signinSilent()))
      assert.notEqual(second.refresh_token, first.refresh_token)
      assert.notEqual(second.access_token, first.access_token)
      assert.equal(second.profile.sub, first.profile.sub)
    })

    await inChromium('silent_renew', async (page) => {
      const settings = { client_id: 'own', scope: 'openid email' }
      const first = await signIn(page, settings)
      assert.equal(first.refresh_token, undefined, 'nothing to refresh with')
      const second = await page.evaluate(async () => globalThis.plain(await globalThis.manager.signinSilent()))
      assert.notEqual(second.access_token, first.access_token)
      assert.equal(second.profile.sub, first.profile.sub)
      await page.context().clearCookies()
      const error = await page.evaluate(() => globalThis.manager.signinSilent().then(() => '', (err) => err.error))
      assert.equal(error, 'login_required')
    })

    await inChromium('revocation', async (page) => {
      await signIn(page, { client_id: 'page', scope, revokeTokenTypes: ['refresh_token', 'access_token'] })
      const refresh = await page.evaluate(async () => (await globalThis.manager.getUser()).refresh_token)
      await page.evaluate(() => globalThis.manager.revokeTokens())
      const answer = await fetch(`${issuer}/oauth2/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'page', refresh_token: refresh }) })
      assert.equal((await answer.json()).error, 'invalid_grant')
    })

    await inChromium('dpop', async (page) => {
      const first = await signIn(page, { client_id: 'bound', scope, bound: true, loadUserInfo: false })
      assert.equal(first.token_type.toLowerCase(), 'dpop')
      const second = await page.evaluate(async () => globalThis.plain(await globalThis.manager.signinSilent()))
      assert.notEqual(second.access_token, first.access_token)
      const info = await page.evaluate(async (address) => {
        const user = await globalThis.manager.getUser()
        const proof = await globalThis.manager.dpopProof(address, user, 'GET')
        return (await fetch(address, { headers: { authorization: `DPoP ${user.access_token}`, dpop: proof } })).json()
      }, `${issuer}/oauth2/userinfo`)
      assert.equal(info.email, email)
    })

    await inChromium('logout', async (page) => {
      await signIn(page, { client_id: 'page', scope, post_logout_redirect_uri: `${app}/` })
      await page.evaluate(() => { globalThis.manager.signoutRedirect({ state: 'kept' }) })
      await page.waitForURL((url) => url.origin === app && url.pathname === '/' && url.searchParams.has('state'))
      await manage(page, { client_id: 'page', scope })
      await page.evaluate(() => globalThis.manager.signoutRedirectCallback())
      await page.goto(`${issuer}/account`)
      await page.waitForSelector('#identifier')
    })

    await inChromium('session', async (page, context) => {
      await signIn(page, { client_id: 'own', scope: 'openid', monitorSession: true, checkSessionIntervalInSeconds: 1 })
      const user = await page.evaluate(async () => globalThis.plain(await globalThis.manager.getUser()))
      assert.ok(user.session_state, 'Session Management §3')
      assert.equal(await page.evaluate(() => globalThis.signedOut), false)
      const other = await context.newPage()
      await other.goto(`${issuer}/oauth2/logout`)
      await other.click(button('answer', 'leave'))
      await page.waitForFunction(() => globalThis.signedOut)
    })
  } finally {
    await browser.close()
    server.close()
    server.closeAllConnections()
  }
}
