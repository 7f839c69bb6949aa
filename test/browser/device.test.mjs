// The page that lets in a device (RFC 8628 §3.3, §5.4), with script and without: the link fills the code
// in, a page says who asks, and only the click there counts.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { assertAccessible, assertQuiet, launch, visit } from '../lib/browser.mjs'
import { startDev } from '../lib/signet.mjs'
import { allow, deny, logIn, primary, signUp, somebody, toSignUp } from '../lib/pages.mjs'

const grant = 'urn:ietf:params:oauth:grant-type:device_code'
let browser, provider, tv
const person = somebody()

before(async () => {
  browser = await launch()
  provider = await startDev('--mail', 'off')
  tv = await provider.client('--kind', 'native', '--name', 'Living room', '--grant-type', grant, '--grant-type', 'refresh_token')
  await visit(browser, {}, async ({ page }) => {
    await page.goto(`${provider.issuer}/login`)
    await toSignUp(page)
    await signUp(page, person)
    await page.waitForURL('**/account')
  })
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

const post = async (path, parameters) => {
  const answer = await fetch(provider.issuer + path, { method: 'POST', body: new URLSearchParams({ client_id: tv.client_id, ...parameters }) })
  return answer.json()
}
const poll = (started) => post('/oauth2/token', { grant_type: grant, device_code: started.device_code })

for (const js of [true, false]) {
  test(`a device is let in by its link and a click, script ${js ? 'on' : 'off'}`, async () => {
    const started = await post('/oauth2/device_authorization', { scope: 'openid profile offline_access' })
    await visit(browser, { js }, async (who) => {
      const { page } = who
      await page.goto(started.verification_uri_complete)
      await logIn(page, person)
      await page.waitForURL('**/device?user_code=*')
      assert.equal(await page.inputValue('#user_code'), started.user_code)
      if (js) await assertAccessible(page, 'device')
      assert.equal((await poll(started)).error, 'authorization_pending')
      await page.click(primary)
      await page.waitForSelector('h2')
      const text = await page.textContent('main')
      for (const words of ['Living room', started.user_code, 'own device']) assert.ok(text.includes(words), words)
      assert.ok(!text.includes('until you sign out'), 'no session of this browser ends it')
      if (js) await assertAccessible(page, 'device-confirm')
      await allow(page)
      await page.waitForURL('**/device?done=allowed')
      const tokens = await poll(started)
      assert.ok(tokens.refresh_token, JSON.stringify(tokens))
      assertQuiet(who)
    })
  })
}

test('a no reaches the device', async () => {
  const started = await post('/oauth2/device_authorization', { scope: 'openid' })
  await visit(browser, {}, async ({ page }) => {
    await page.goto(started.verification_uri)
    await logIn(page, person)
    await page.fill('#user_code', started.user_code.toLowerCase().replace('-', ' '))
    await page.click(primary)
    await deny(page)
    await page.waitForURL('**/device?done=denied')
  })
  assert.equal((await poll(started)).error, 'access_denied')
})
