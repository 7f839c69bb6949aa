// The main journey, as a newcomer walks it: sign up, consent, verified tokens in the sample
// application, refresh, log out. In every combination of script, language, colours and width.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { startDev, startOnPostgres } from '../lib/signet.mjs'
import { startExample } from '../lib/example.mjs'
import { launch, visitor, inspect, assertQuiet } from '../lib/browser.mjs'
import { allow, enterMailedCode, fillSignUp, logIn, primary, sample, signUp, somebody, toSignUp } from '../lib/pages.mjs'

let browser, provider

before(async () => {
  browser = await launch()
  provider = await startDev()
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

async function walk (who) {
  const { page } = who
  const person = somebody(who.lang === 'ko' ? '박민아' : 'Mina Park')
  await page.goto(provider.sample)
  await sample.signIn(page)
  await page.waitForURL(`${provider.issuer}/**`)
  await inspect(who, 'login')

  await toSignUp(page)
  await inspect(who, 'signup')
  await fillSignUp(page, person)
  await page.click(primary)
  await page.waitForURL('**/verify')
  await inspect(who, 'verify')
  await enterMailedCode(page, person.email)

  await page.waitForSelector('button[name="answer"]')
  await inspect(who, 'consent')
  await allow(page)

  await page.waitForURL(`${provider.sample}/**`)
  const first = await sample.tokens(page)
  assert.equal(first.id.iss, provider.issuer)
  assert.equal(first.id.email ?? first.userinfo.email, person.email)
  assert.equal(first.userinfo.name, person.name)
  assert.ok(first.id.nonce && first.id.auth_time && first.id.sid)
  await inspect({ ...who, lang: 'en' }, `sample-for-${who.lang}`)

  await sample.refresh(page)
  await page.getByText('were refreshed').waitFor()
  const second = await sample.tokens(page)
  assert.equal(second.id.sub, first.id.sub)
  assert.equal(second.id.auth_time, first.id.auth_time)
  assert.notEqual(second.access.jti, first.access.jti, 'the refresh brought a new access token')

  await sample.logOut(page)
  assert.ok(page.url().startsWith(provider.sample))
  await page.goto(`${provider.issuer}/account`)
  await page.waitForSelector('#identifier')
  assertQuiet(who)
}

for (const js of [true, false]) {
  describe(js ? 'with JavaScript' : 'without JavaScript', () => {
    for (const lang of ['en', 'ko']) {
      for (const scheme of ['light', 'dark']) {
        for (const width of [320, 1280]) {
          test(`${lang}, ${scheme}, ${width} px`, async () => {
            const who = await visitor(browser, { lang, js, scheme, width })
            try {
              await walk(who)
            } finally {
              await who.close()
            }
          })
        }
      }
    }
  })
}

test('on Postgres, with an application of its own', async () => {
  const store = await startOnPostgres()
  const application = await startExample('node-web', store)
  const who = await visitor(browser)
  try {
    const { page } = who
    const person = somebody()
    await page.goto(application.url)
    await page.click('a[href="/login"]')
    await page.waitForSelector('#identifier')
    await toSignUp(page)
    await signUp(page, person)
    await allow(page)
    await page.waitForURL(application.url + '/')
    assert.equal(await page.textContent('#email'), person.email)

    // Signed in at the provider, consented: the second login shows no page at all.
    await page.goto(`${application.url}/login`)
    await page.waitForURL(application.url + '/')

    await page.click('form[action="/logout"] button')
    await page.waitForURL(application.url + '/')
    await page.click('a[href="/login"]')
    await page.waitForSelector('#identifier')
    await logIn(page, person)
    await page.waitForURL(application.url + '/')
    assertQuiet(who)
  } finally {
    await who.close()
    await application.close()
    await store.close()
  }
})
