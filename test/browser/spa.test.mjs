// A single-page application: everything from the browser itself, across origins.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { startDev } from '../lib/signet.mjs'
import { authorizeUrl, landing } from '../lib/landing.mjs'
import { launch, visitor } from '../lib/browser.mjs'
import { allow, button, signUp, somebody, toSignUp } from '../lib/pages.mjs'

let browser, provider, app, stranger, client

before(async () => {
  browser = await launch()
  provider = await startDev()
  app = await landing()
  stranger = await landing()
  client = await provider.client('--kind', 'spa', '--name', 'Front', '--redirect-uri', app.callback)
})
after(async () => {
  await browser?.close()
  app?.close()
  stranger?.close()
  await provider?.close()
})

/** In the page: exchanges the code, asks userinfo, refreshes; `false` where the browser forbids it. */
const inPage = async ({ issuer, client, callback, code, verifier }) => {
  const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
  const keys = await (await fetch(metadata.jwks_uri)).json()
  const token = (parameters) => fetch(metadata.token_endpoint, {
    method: 'POST', body: new URLSearchParams({ client_id: client, ...parameters })
  }).then((answer) => answer.json(), () => false)
  const first = await token({ grant_type: 'authorization_code', code, redirect_uri: callback, code_verifier: verifier })
  if (!first) return { keys, first }
  const info = await (await fetch(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${first.access_token}` } })).json()
  const second = await token({ grant_type: 'refresh_token', refresh_token: first.refresh_token })
  const refused = await fetch(metadata.userinfo_endpoint, { headers: { authorization: 'Bearer nonsense' } })
  return { keys, first, info, second, refused: refused.status }
}

test('code flow, userinfo and refresh by fetch; nothing of it for another origin', async () => {
  const who = await visitor(browser)
  const { page } = who
  const person = somebody()
  const verifier = 'v'.repeat(43)
  const challenge = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(verifier))).toString('base64url')
  try {
    await page.goto(authorizeUrl(provider, client, app, { scope: 'openid email offline_access', code_challenge: challenge }))
    await toSignUp(page)
    await signUp(page, person)
    await page.waitForSelector(button('answer', 'allow'))
    await allow(page)
    await page.waitForURL(`${app.url}/**`)
    const facts = { issuer: provider.issuer, client: client.client_id, callback: app.callback, code: app.answers[0].code, verifier }

    const elsewhere = await who.context.newPage()
    await elsewhere.goto(stranger.url)
    const foreign = await elsewhere.evaluate(inPage, { ...facts, code: 'not-even-a-code' })
    assert.ok(foreign.keys.keys.length >= 2, 'discovery and keys are for everybody')
    assert.equal(foreign.first, false, 'the token endpoint is for registered origins')

    const { first, info, second, refused } = await page.evaluate(inPage, facts)
    assert.ok(first.access_token && first.id_token && first.refresh_token, JSON.stringify(first))
    assert.equal(info.email, person.email)
    assert.notEqual(second.refresh_token, first.refresh_token)
    assert.equal(refused, 401)
  } finally {
    await who.close()
  }
})
