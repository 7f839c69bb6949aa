// The page on which somebody answers an application that they are not in front of (OpenID Connect CIBA
// §8), with script and without: a mail leads there, the page says what to compare, and only the click
// there counts.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { assertAccessible, assertQuiet, launch, visit } from '../lib/browser.mjs'
import { startDev } from '../lib/signet.mjs'
import { linkOf, mailbox } from '../lib/mailbox.mjs'
import { allow, deny, logIn, signUp, somebody, toSignUp } from '../lib/pages.mjs'

const grant = 'urn:openid:params:grant-type:ciba'
let browser, provider, desk, mails
const person = somebody()
const other = somebody('Somebody Else')

before(async () => {
  browser = await launch()
  provider = await startDev()
  mails = mailbox(provider)
  desk = await provider.client('--kind', 'web', '--name', 'Front desk', '--grant-type', grant, '--grant-type', 'refresh_token')
  for (const one of [person, other]) {
    await visit(browser, {}, async ({ page }) => {
      await page.goto(`${provider.issuer}/login`)
      await toSignUp(page)
      await signUp(page, one)
      await page.waitForURL('**/account')
    })
  }
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

const post = async (path, parameters) => {
  const answer = await fetch(provider.issuer + path, {
    method: 'POST',
    headers: { authorization: 'Basic ' + Buffer.from(`${encodeURIComponent(desk.client_id)}:${encodeURIComponent(desk.client_secret)}`).toString('base64') },
    body: new URLSearchParams(parameters)
  })
  return answer.json()
}
const ask = (message) => post('/oauth2/bc-authorize', { scope: 'openid profile offline_access', login_hint: person.email, binding_message: message })
const poll = (asked) => post('/oauth2/token', { grant_type: grant, auth_req_id: asked.auth_req_id })
const waiting = async () => (await mails.list(person.email)).filter((m) => m.subject.includes('Front desk'))

for (const js of [true, false]) {
  test(`a mail leads to the page, a click allows, script ${js ? 'on' : 'off'}`, async () => {
    const since = (await waiting()).length
    const asked = await ask('W4SC-7TQ')
    assert.ok(asked.auth_req_id, JSON.stringify(asked))
    const mail = await mails.to(person.email, { since, subject: /Front desk/ })
    assert.ok(!mail.text.includes('W4SC-7TQ'), 'what the application wrote is not in a mail of ours')
    await visit(browser, { js }, async (who) => {
      const { page } = who
      await page.goto(linkOf(mail, provider.issuer))
      await logIn(page, person)
      await page.waitForURL('**/account/requests/*')
      const text = await page.textContent('main')
      for (const words of ['Front desk', 'W4SC-7TQ']) assert.ok(text.includes(words), words)
      assert.ok(!text.includes('until you sign out'), 'no session of this browser ends it')
      if (js) await assertAccessible(page, 'ciba-confirm')
      assert.equal((await poll(asked)).error, 'authorization_pending')
      await allow(page)
      await page.waitForURL('**/account/requests?saved=request_allowed')
      if (js) await assertAccessible(page, 'ciba-allowed')
      const tokens = await poll(asked)
      assert.ok(tokens.refresh_token, JSON.stringify(tokens))
      assert.equal((await poll(asked)).error, 'invalid_grant')
      assertQuiet(who)
    })
  })
}

test('a no reaches the application; the list leads to the request', async () => {
  const asked = await ask('Z9-K2')
  await visit(browser, {}, async ({ page }) => {
    await page.goto(`${provider.issuer}/account/requests`)
    await logIn(page, person)
    await page.click('main a[href^="/account/requests/"]')
    await deny(page)
    await page.waitForURL('**/account/requests?saved=request_denied')
    assert.equal(await page.locator('main a[href^="/account/requests/"]').count(), 0)
  })
  assert.equal((await poll(asked)).error, 'access_denied')
})

test('to another account the page shows nothing', async () => {
  const since = (await waiting()).length
  const asked = await ask('Q-1')
  const mail = await mails.to(person.email, { since, subject: /Front desk/ })
  await visit(browser, { expected: [404] }, async ({ page }) => {
    await page.goto(linkOf(mail, provider.issuer))
    await logIn(page, other)
    await page.waitForURL('**/account/requests/*')
    const text = await page.textContent('main')
    for (const words of ['Front desk', 'Q-1']) assert.ok(!text.includes(words), words)
    assert.equal(await page.locator('main form button[name="answer"]').count(), 0)
  })
  assert.equal((await poll(asked)).error, 'authorization_pending')
})
