// Signing out, as browsers see it: hidden frames of applications under our policy, the way back, and
// the frame that tells an application whether who is signed in has changed.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { assertAccessible, launch, visit } from '../lib/browser.mjs'
import { LogoutParty } from '../lib/logoutparty.mjs'
import { folder } from '../lib/processes.mjs'
import { certificate, reserve, startDev } from '../lib/signet.mjs'
import { logIn, signUp, somebody, toSignUp } from '../lib/pages.mjs'

let browser, provider, wiki, mail
const person = somebody()

before(async () => {
  browser = await launch()
  provider = await startDev('--mail', 'off')
  wiki = await LogoutParty.start()
  mail = await LogoutParty.start()
  await wiki.register(provider, 'Wiki', '--metadata', `frontchannel_logout_uri=${wiki.url}/out?kept=1`, '--metadata', 'frontchannel_logout_session_required=true')
  await mail.register(provider, 'Mail', '--metadata', `frontchannel_logout_uri=${mail.url}/out`)
  await visit(browser, {}, async ({ page }) => {
    await page.goto(wiki.signInUrl())
    await toSignUp(page)
    await signUp(page, person)
    await page.waitForURL(`${wiki.url}/callback**`)
  })
})
after(async () => {
  await browser?.close()
  wiki?.close()
  mail?.close()
  await provider?.close()
})

/** Signs in to both applications in one browser; returns what the wiki got. */
async function bothSignedIn (page) {
  wiki.log.length = mail.log.length = 0
  await page.goto(wiki.signInUrl())
  await logIn(page, person)
  await page.waitForURL(`${wiki.url}/callback**`)
  const got = await wiki.signedIn()
  await page.goto(mail.signInUrl())
  await page.waitForURL(`${mail.url}/callback**`)
  return got
}

for (const js of [true, false]) {
  test(`every application's frame is loaded before the way back leads on, script ${js ? 'on' : 'off'}`, async () => {
    await visit(browser, { js }, async ({ page }) => {
      const { idToken, claims } = await bothSignedIn(page)
      await page.goto(wiki.logoutUrl(idToken, 'a state & more'), { waitUntil: 'commit' })
      await page.waitForURL(`${wiki.url}/bye**`)
      assert.deepEqual(wiki.seen('/out').map((one) => one.query), [{ kept: '1', iss: provider.issuer, sid: claims.sid }])
      assert.deepEqual(mail.seen('/out').map((one) => one.query), [{}], 'no sid where none was asked for')
      assert.deepEqual(wiki.seen('/bye').map((one) => one.query), [{ state: 'a state & more' }])
      assert.ok(wiki.log.findIndex((one) => one.path === '/out') < wiki.log.findIndex((one) => one.path === '/bye'), 'the frame comes first')
      const frame = wiki.seen('/out')[0]
      assert.equal(frame.from, '', 'the request with the hint is nobody else\'s business')
      assert.match(frame.cookie, /application=signed-in/, 'the application knows whom to sign out')
    })
  })
}

test('an application that does not answer holds nobody up', async () => {
  await visit(browser, {}, async ({ page }) => {
    const { idToken } = await bothSignedIn(page)
    mail.stuck = true
    try {
      const began = Date.now()
      await page.goto(wiki.logoutUrl(idToken, 's'), { waitUntil: 'commit' })
      await page.waitForURL(`${wiki.url}/bye**`, { waitUntil: 'commit' })
      assert.ok(Date.now() - began >= 3500, 'it is given a moment')
    } finally {
      mail.stuck = false
      mail.server.closeAllConnections()
    }
    assert.equal(wiki.seen('/out').length, 1)
  })
})

test('signed out from the account page: who is told is on the page, and stays', async () => {
  await visit(browser, {}, async (who) => {
    const { page } = who
    await bothSignedIn(page)
    await page.goto(`${provider.issuer}/account`)
    await page.click('header form[action="/logout"] button')
    await page.waitForSelector('main ul')
    assert.deepEqual(await page.locator('main ul li').allTextContents(), ['Mail', 'Wiki'])
    await page.waitForLoadState('load')
    assert.equal(wiki.seen('/out').length + mail.seen('/out').length, 2)
    await assertAccessible(page, 'the page after a sign-out')
    assert.equal(new URL(page.url()).origin, provider.issuer)
  })
})

/** Asks the frame from a page of the application. */
const ask = (page, question) => page.evaluate((question) => globalThis.ask(question), question)

/** Walks through OIDC Session Management §3: unchanged, then signed out, changed; signed in again, still changed. */
async function watched (page, app, signIn) {
  await page.goto(app.signInUrl())
  await signIn(page)
  await page.waitForURL(`${app.url}/callback**`)
  const { idToken, session_state: state } = await app.signedIn()
  const question = `${app.client.client_id} ${state}`
  const elsewhere = await page.context().newPage()
  await elsewhere.goto(`${app.url}/watch`)
  assert.equal(await ask(elsewhere, question), 'unchanged')
  assert.equal(await ask(elsewhere, `other ${state}`), 'changed', 'another application\'s state')
  for (const nonsense of ['', 'x', 'a b c', `${app.client.client_id} x`, `${app.client.client_id} .`]) {
    assert.equal(await ask(elsewhere, nonsense), 'error', nonsense)
  }
  await page.goto(app.logoutUrl(idToken, 's'))
  await page.waitForURL(`${app.url}/bye**`)
  assert.equal(await ask(elsewhere, question), 'changed', 'without a reload of the watching page')
  await page.goto(app.signInUrl())
  await logIn(page, person)
  await page.waitForURL(`${app.url}/callback**`)
  assert.equal(await ask(elsewhere, question), 'changed', 'another session')
  assert.equal(await ask(elsewhere, `${app.client.client_id} ${(await app.signedIn()).session_state}`), 'unchanged')
}

test('check_session_iframe says unchanged, and changed after the sign-out', async () => {
  const quiet = await LogoutParty.start()
  await quiet.register(provider, 'Quiet')
  try {
    await visit(browser, {}, ({ page }) => watched(page, quiet, (page) => logIn(page, person)))
  } finally {
    quiet.close()
  }
})

/** A provider over https and an application of another site. */
async function far (run) {
  const trust = await certificate()
  const app = await LogoutParty.start('127.0.0.1')
  let secure
  try {
    secure = await (await reserve({ tls: trust })).start('signup:\n  mode: open')
    await app.register(secure, 'Far')
    await run(app, secure)
  } finally {
    app.close()
    await secure?.close()
    trust.remove()
  }
}

const newcomer = async (page) => {
  await toSignUp(page)
  await signUp(page, person)
}

test('check_session_iframe in a page of another site, where the browser lets it have its cookie', async () => {
  await far(async (app, secure) => {
    const profile = folder('profile')
    mkdirSync(join(profile.path, 'Default'))
    writeFileSync(join(profile.path, 'Default/Preferences'), JSON.stringify({ profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }))
    const context = await chromium.launchPersistentContext(profile.path, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'], ignoreHTTPSErrors: true
    })
    try {
      app.signedIn = signedInOver(app, context)
      const page = await context.newPage()
      await watched(page, app, newcomer)
      const [cookie] = (await context.cookies(secure.issuer)).filter((one) => one.name === '__Host-signet_state')
      assert.ok(cookie.secure && cookie.sameSite === 'None' && !cookie.httpOnly, JSON.stringify(cookie))
    } finally {
      await context.close()
      profile.remove()
    }
  })
})

test('check_session_iframe in a page of another site, where the browser keeps its cookie: error, not changed', async () => {
  await far(async (app) => {
    await visit(browser, { anyCertificate: true }, async ({ page, context }) => { // private windows do
      app.signedIn = signedInOver(app, context)
      await page.goto(app.signInUrl())
      await newcomer(page)
      await page.waitForURL(`${app.url}/callback**`)
      const { session_state: state } = await app.signedIn()
      await page.goto(`${app.url}/watch`)
      assert.equal(await ask(page, `${app.client.client_id} ${state}`), 'error')
    })
  })
})

/** Like LogoutParty.signedIn, through a browser context that takes any certificate. */
const signedInOver = (app, context) => async () => {
  const { query } = app.seen('/callback').at(-1)
  const answer = await context.request.post(`${app.provider.issuer}/oauth2/token`, {
    form: {
      grant_type: 'authorization_code', code: query.code, redirect_uri: app.callback, code_verifier: app.verifier
    },
    headers: { authorization: `Basic ${Buffer.from(`${app.client.client_id}:${app.client.client_secret}`).toString('base64')}` }
  })
  return { ...query, idToken: (await answer.json()).id_token }
}
