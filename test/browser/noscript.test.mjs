// A life with an account and without script: everything but passkeys, which hide themselves.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { startDev } from '../lib/signet.mjs'
import { launch, visit } from '../lib/browser.mjs'
import { button, codeIn, logIn, newestMail, primary, signUp, somebody } from '../lib/pages.mjs'
import { until } from '../lib/processes.mjs'
import { App } from '../lib/totp.mjs'

let browser, provider
before(async () => {
  browser = await launch()
  provider = await startDev()
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

const at = (path) => provider.issuer + path

/** The next mail to somebody: what do sends it. */
async function nextMail (address, does) {
  const before = (await newestMail(provider.issuer, address)).id
  await does()
  return until(`another mail to ${address}`, async () => {
    const newest = await newestMail(provider.issuer, address)
    return newest.id !== before && newest
  })
}

for (const lang of ['en', 'ko']) {
  test(lang, () => visit(browser, { lang, js: false, expected: [401, 422] }, async ({ page }) => {
    const person = somebody()
    await page.goto(at('/login'))
    assert.equal(await page.locator('[data-passkey]:visible').count(), 0, 'no button that cannot work')
    await page.goto(at('/signup'))
    await signUp(page, person)
    await page.waitForURL(at('/account'))

    // a second factor, with the codes that come with it
    await page.goto(at('/account/security/totp'))
    await page.click(button('act', 'begin'))
    const app = new App((await page.textContent('#key')).replace(/\s/g, ''))
    assert.ok((await page.locator('.qr svg path').getAttribute('d')).length > 500, 'a picture to scan')
    await page.fill('#code', await app.code())
    await page.click('main form:has(#code) button.primary')
    await page.waitForSelector('.codes')
    const codes = await page.locator('.codes code').allTextContents()
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('main a[download]')])
    assert.equal(file.suggestedFilename(), 'recovery-codes.txt')
    await page.click('main a.primary')

    // the password is forgotten
    await page.click('header form button')
    await page.waitForURL(at('/logged-out'))
    await page.goto(at('/forgot'))
    await page.fill('#identifier', person.email)
    const mail = await nextMail(person.email, async () => {
      await page.click(primary)
      await page.waitForURL('**/reset')
    })
    await page.fill('#code', codeIn(mail))
    await page.click(primary)
    await page.waitForSelector('#password[autocomplete=new-password]')
    person.password = 'another-heron-battery-lamp'
    await page.fill('#password', person.password)
    await page.click(primary)
    await page.waitForURL((url) => url.pathname.endsWith('/login'))
    await logIn(page, person)
    await page.waitForURL('**/mfa')
    await page.click('main a[href$="/mfa/recovery"]')
    await page.fill('#recovery_code', codes[0])
    await page.click(primary)
    await page.waitForURL(at('/account'))

    // the address changes by the link of the mail, and the change is undone by that of the other
    const next = somebody().email
    await page.goto(at('/account/address'))
    await page.fill('#email', next)
    const told = await nextMail(person.email, async () => {
      await page.click(primary)
      await page.waitForSelector('#code')
      const sent = await newestMail(provider.issuer, next)
      await page.goto(/^https?:\/\/\S+$/m.exec(sent.text)[0])
      assert.equal(new URL(page.url()).pathname, '/m')
      await page.click(primary)
      await page.waitForURL('**/account/profile?saved=address')
    })
    await page.goto(told.text.match(/^https?:\/\/\S+$/m)[0])
    const reset = await nextMail(person.email, async () => {
      await page.click(primary)
      await page.waitForURL('**/reset')
    })
    await page.fill('#code', codeIn(reset))
    await page.click(primary)
    await page.waitForSelector('#password[autocomplete=new-password]')
    person.password = 'one-more-heron-battery-lamp'
    await page.fill('#password', person.password)
    await page.click(primary)
    await page.waitForURL((url) => url.pathname.endsWith('/login'))
    await logIn(page, person)
    await page.waitForURL('**/mfa')
    await page.fill('#code', await app.code())
    await page.check('input[name=trust]')
    await page.click(primary)
    await page.waitForURL(at('/account'))

    // what is known, and the end
    await page.goto(at('/account/security/browsers'))
    assert.ok(await page.locator('.list > li').count())
    await page.goto(at('/account/activity'))
    assert.ok(await page.locator('.timeline > li').count() > 5)
    await page.goto(at('/account/data'))
    const [data] = await Promise.all([page.waitForEvent('download'), page.click('main form[data-download] button')])
    assert.match(data.suggestedFilename(), /\.json$/)
    await page.goto(at('/account/delete'))
    await page.check('#sure')
    await page.click('main button.danger')
    await page.waitForURL(at('/account/deleted'))
  }))
}
