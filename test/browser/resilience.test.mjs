// A journey survives what people and machines do in the middle of it.
import { test, before, after, beforeEach, afterEach } from 'node:test'
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDev } from '../lib/signet.mjs'
import { authorizeUrl, landing } from '../lib/landing.mjs'
import { launch, visitor, assertQuiet } from '../lib/browser.mjs'
import { allow, button, deny, fillLogin, language, logIn, primary, signUp, somebody, toSignUp } from '../lib/pages.mjs'

let browser, provider, place, client, who, page
const person = somebody()

before(async () => {
  browser = await launch()
  provider = await startDev()
  place = await landing()
  client = await provider.client('--kind', 'web', '--name', 'Reading Room', '--redirect-uri', place.callback)
  const file = join(provider.dir.path, 'people.jsonl')
  writeFileSync(file, JSON.stringify({ email: person.email, name: person.name, password: person.password }) + '\n')
  await provider.cli('user', 'import', file)
})
after(async () => {
  await browser?.close()
  place?.close()
  await provider?.close()
})
beforeEach(async () => {
  who = await visitor(browser, { expected: [401, 403, 404, 409, 422] })
  page = who.page
  place.answers.length = 0
})
afterEach(() => who.close())

const ask = (more) => authorizeUrl(provider, client, place, { prompt: 'consent', ...more })
const landed = () => page.waitForURL(`${place.url}/**`)

/** Fails unless exactly one authorization response with a code arrived. */
function assertOneCode () {
  assert.equal(place.answers.length, 1)
  assert.ok(place.answers[0].code)
  assert.equal(place.answers[0].iss, provider.issuer)
}

test('reload of every page', async () => {
  await page.goto(ask())
  await page.reload()
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
  await page.reload()
  await page.waitForSelector(button('answer', 'allow'))
  await allow(page)
  await landed()
  assertOneCode()
  assertQuiet(who)
})

test('back button from consent to login and on again', async () => {
  await page.goto(ask())
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
  await page.goBack()
  await page.goForward()
  await page.waitForSelector(button('answer', 'allow'))
  await allow(page)
  await landed()
  assertOneCode()
})

test('back button into a finished sign-in issues nothing twice', async () => {
  await page.goto(ask())
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
  await allow(page)
  await landed()
  await page.goBack()
  if (await page.locator(button('answer', 'allow')).count()) {
    await allow(page)
    await page.waitForLoadState()
  }
  assertOneCode()
  assert.equal(await page.locator('h1').count(), 1)
})

test('second tab: two sign-ins side by side, each returns its own state', async () => {
  await page.goto(ask({ state: 'first' }))
  const other = await who.context.newPage()
  await other.goto(ask({ state: 'second' }))
  await logIn(other, person)
  await other.waitForSelector(button('answer', 'allow'))
  await allow(other)
  await other.waitForURL(`${place.url}/**`)
  assert.equal(place.answers.at(-1).state, 'second')

  // The first tab still shows the login form of its own journey; it completes as well.
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
  await allow(page)
  await landed()
  assert.equal(place.answers.at(-1).state, 'first')
  assert.equal(place.answers.length, 2)
})

for (const [how, signal] of [['restart', 'SIGTERM'], ['kill -9', 'SIGKILL']]) {
  test(`${how} of the server before every step`, async () => {
    await page.goto(ask())
    await provider.restart(signal)
    await logIn(page, person)
    await page.waitForSelector(button('answer', 'allow'))
    await provider.restart(signal)
    await allow(page)
    await landed()
    assertOneCode()
    await provider.restart(signal)
    await page.goto(`${provider.issuer}/account`)
    await page.waitForSelector('nav a[href="/account/sessions"]')
  })
}

test('language switch keeps the request, and what was typed except the password', async () => {
  await page.goto(ask())
  await toSignUp(page)
  await page.fill('#name', '박민아')
  await page.fill('#email', 'typed@example.com')
  await page.fill('#password', 'a password that is typed')
  await page.click(language('ko'))
  await page.waitForSelector('html[lang=ko]')
  assert.equal(await page.inputValue('#name'), '박민아')
  assert.equal(await page.inputValue('#email'), 'typed@example.com')
  assert.equal(await page.inputValue('#password'), '')
  assert.equal(await page.locator('[aria-invalid=true]').count(), 0, 'a switch is no failed attempt')

  await signUp(page, somebody('박민아'))
  await page.waitForSelector(button('answer', 'allow'))
  assert.equal(await page.getAttribute('html', 'lang'), 'ko')
  await allow(page)
  await landed()
  assertOneCode()

  await page.goto(`${provider.issuer}/account`)
  assert.equal(await page.getAttribute('html', 'lang'), 'ko', 'the choice is remembered')
  await page.goto(ask({ ui_locales: 'en', prompt: 'login' }))
  assert.equal(await page.getAttribute('html', 'lang'), 'en', 'ui_locales comes before the choice')
  assertQuiet(who)
})

test('the address of a journey is worth nothing in another browser', async () => {
  await page.goto(ask())
  const address = page.url()
  const stranger = await visitor(browser, { expected: [403, 404] })
  try {
    const answer = await stranger.page.goto(address)
    assert.ok([403, 404].includes(answer.status()), `status ${answer.status()}`)
    assert.equal(await stranger.page.locator('#password').count(), 0)
    assertQuiet(stranger)
  } finally {
    await stranger.close()
  }
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
})

test('double click submits once', async () => {
  await page.goto(ask())
  await fillLogin(page, person)
  let posts = 0
  page.on('request', (request) => { if (request.method() === 'POST') posts++ })
  await page.dblclick(primary)
  await page.waitForSelector(button('answer', 'allow'))
  assert.equal(posts, 1)
})

test('no means no: access_denied with state and iss', async () => {
  await page.goto(ask({ state: 'kept' }))
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'deny'))
  await deny(page)
  await landed()
  assert.equal(place.answers[0].error, 'access_denied')
  assert.equal(place.answers[0].state, 'kept')
  assert.equal(place.answers[0].iss, provider.issuer)
})

test('form_post with script goes on by itself', async () => {
  await page.goto(ask({ response_mode: 'form_post' }))
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
  await allow(page)
  await landed()
  assertOneCode()
  assertQuiet(who)
})

test('login_hint, prompt=create and prompt=none', async () => {
  await page.goto(ask({ login_hint: person.email }))
  assert.equal(await page.inputValue('#identifier'), person.email)
  await page.goto(ask({ prompt: 'create' }))
  await page.waitForSelector('#email')
  await page.goto(ask({ prompt: 'none' }))
  await landed()
  assert.equal(place.answers[0].error, 'login_required')
})

test('a session ended in one browser is ended in the other', async () => {
  await page.goto(`${provider.issuer}/login`)
  await logIn(page, person)
  await page.waitForSelector('nav a[href="/account/sessions"]')
  const other = await visitor(browser)
  try {
    await other.page.goto(`${provider.issuer}/login`)
    await logIn(other.page, person)
    await other.page.waitForSelector('nav a[href="/account/sessions"]')
    await page.goto(`${provider.issuer}/account/sessions`)
    await page.click(button('all', 'others'))
    await page.waitForSelector('[role=status]')
    await other.page.goto(`${provider.issuer}/account`)
    await other.page.waitForSelector('#identifier')
  } finally {
    await other.close()
  }
})

test('an application loses its access', async () => {
  await page.goto(ask({ scope: 'openid email' }))
  await logIn(page, person)
  await page.waitForSelector(button('answer', 'allow'))
  await allow(page)
  await landed()
  await page.goto(`${provider.issuer}/account/applications`)
  await page.click(`form:has(input[name=client][value="${client.client_id}"]) button`)
  await page.waitForSelector('[role=status]')
  await page.goto(authorizeUrl(provider, client, place, { scope: 'openid email' }))
  await page.waitForSelector(button('answer', 'allow'))
})

test('language and colours are switched on every page of the account', async () => {
  await page.goto(`${provider.issuer}/login`)
  await logIn(page, person)
  await page.waitForSelector('nav a[href="/account/sessions"]')
  for (const path of [
    '/account', '/account/profile', '/account/username', '/account/address', '/account/security', '/account/password', '/account/passkeys',
    '/account/passkeys/add', '/account/security/totp', '/account/security/recovery-codes', '/account/security/browsers', '/account/sessions',
    '/account/applications', '/account/activity', '/account/data', '/account/delete', '/logout'
  ]) {
    await page.goto(provider.issuer + path)
    for (const tag of ['ko', 'en']) {
      await page.click(language(tag))
      await page.waitForSelector(`html[lang=${tag}]`)
      assert.equal(new URL(page.url()).pathname, path)
    }
    await page.click(button('theme', 'dark'))
    await page.waitForSelector('html[data-theme=dark]')
    assert.equal(new URL(page.url()).pathname, path)
    await page.click(button('theme', 'auto'))
    await page.waitForSelector('html:not([data-theme])')
  }
  assertQuiet(who)
})
