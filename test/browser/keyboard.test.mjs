// The whole journey by keyboard alone: sign up, allow, account, log out.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { startDev } from '../lib/signet.mjs'
import { authorizeUrl, landing } from '../lib/landing.mjs'
import { launch, told, visitor, assertQuiet } from '../lib/browser.mjs'
import { button, codeIn, newestMail, signUp, somebody } from '../lib/pages.mjs'
import { authenticator } from '../lib/authenticator.mjs'
import { until } from '../lib/processes.mjs'
import { App } from '../lib/totp.mjs'

let browser, provider, place, client

before(async () => {
  browser = await launch()
  provider = await startDev()
  place = await landing()
  client = await provider.client('--kind', 'web', '--name', 'Reading Room', '--redirect-uri', place.callback)
})
after(async () => {
  await browser?.close()
  place?.close()
  await provider?.close()
})

/** Presses Tab until the focus is on selector; every stop on the way must be visible. */
async function tabTo (page, selector) {
  const passed = []
  for (let n = 0; n < 60; n++) {
    const stop = await page.evaluate((wanted) => {
      const el = document.activeElement
      if (!el || el === document.body) return { name: 'body' }
      const style = getComputedStyle(el)
      const box = el.getBoundingClientRect()
      return {
        there: el.matches(wanted),
        name: el.outerHTML.slice(0, 80),
        ring: el.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
      }
    }, selector)
    if (stop.name !== 'body' && n > 0) {
      assert.ok(stop.ring, `no focus ring of 2 px on ${stop.name}`)
      assert.ok(stop.seen, `the focus is out of sight on ${stop.name}`)
    }
    if (stop.there) return passed
    passed.push(stop.name)
    await page.keyboard.press('Tab')
  }
  assert.fail(`Tab never came to ${selector}; passed ${passed.join('\n')}`)
}

test('sign up, allow, account, log out', async () => {
  const who = await visitor(browser)
  const { page } = who
  const person = somebody()
  try {
    await page.goto(authorizeUrl(provider, client, place))
    await tabTo(page, 'main a[href*="signup"]')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#email')

    await tabTo(page, '#name')
    await page.keyboard.type(person.name)
    await tabTo(page, '#email')
    await page.keyboard.type(person.email)
    await tabTo(page, '#password')
    await page.keyboard.type(person.password)
    await page.keyboard.press('Enter') // submits, although a button to show the password follows

    await page.waitForURL('**/verify')
    await tabTo(page, '#code')
    await page.keyboard.type(codeIn(await newestMail(provider.issuer, person.email)))
    await page.keyboard.press('Enter')
    await page.waitForSelector(button('answer', 'allow'))
    await tabTo(page, button('answer', 'allow'))
    await page.keyboard.press('Enter')
    await page.waitForURL(`${place.url}/**`)
    assert.ok(place.answers.at(-1).code)

    await page.goto(`${provider.issuer}/account`)
    await page.keyboard.press('Tab')
    assert.ok(await page.evaluate(() => document.activeElement.matches('a[href="#main"]')), 'the skip link comes first')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main')

    await page.goto(`${provider.issuer}/logout`)
    await tabTo(page, button('answer', 'leave'))
    await page.keyboard.press('Enter')
    await page.waitForSelector(button('answer', 'leave'), { state: 'detached' })
    await page.goto(`${provider.issuer}/account`)
    await page.waitForSelector('#identifier')
    assertQuiet(who)
  } finally {
    await who.close()
  }
})

/** Leaves a page with the keyboard: Tab to a control, then Enter. */
async function press (page, selector) {
  await tabTo(page, selector)
  await page.keyboard.press('Enter')
}

test('passkey, authenticator app, recovery code, forgotten password, address, data, deletion', async () => {
  const who = await visitor(browser, { expected: [401, 422] })
  const { page } = who
  const person = somebody()
  const at = (path) => provider.issuer + path
  try {
    await page.goto(at('/signup'))
    await signUp(page, person)
    const keys = await authenticator(page)
    await page.goto(at('/account'))
    await press(page, 'nav a[href="/account/security"]')
    await page.waitForURL(at('/account/security'))
    await press(page, 'main a[href="/account/passkeys"]')
    await page.waitForURL(at('/account/passkeys'))
    await press(page, 'main a[href="/account/passkeys/add"]')
    await page.waitForURL(at('/account/passkeys/add'))
    await press(page, '[data-passkey] button')
    await page.waitForSelector('.codes')
    const codes = await page.$$eval('.codes code', (list) => list.map((el) => el.textContent))
    await press(page, 'main a.primary')
    await page.waitForURL(at('/account/passkeys'))
    await press(page, 'summary')
    await tabTo(page, 'details[open] input[name=name]')
    await page.keyboard.press('ControlOrMeta+A')
    await page.keyboard.type('Telephone')
    await page.keyboard.press('Enter')
    await page.getByText('Telephone').first().waitFor()

    await page.goto(at('/account/security/totp'))
    await page.waitForURL('**/mfa') // what protects the account is changed with both factors
    await press(page, '[data-passkey] button')
    await page.waitForURL(at('/account/security/totp'))
    await press(page, button('act', 'begin'))
    await page.waitForSelector('#key')
    const app = new App((await page.textContent('#key')).replace(/\s/g, ''))
    await tabTo(page, '#code')
    await page.keyboard.type(await app.code())
    await page.keyboard.press('Enter')
    await page.waitForSelector('#key', { state: 'detached' })

    for (const key of await keys.keys()) await keys.drop(key.credentialId)
    await press(page, 'header form button')
    await page.waitForURL(at('/logged-out'))
    await press(page, 'main a')
    await page.waitForSelector('#identifier')
    await press(page, 'main a[href$="/forgot"]')
    await page.waitForURL('**/forgot')
    await tabTo(page, '#identifier')
    await page.keyboard.type(person.email)
    const before = await newestMail(provider.issuer, person.email)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/reset')
    const mail = await until('the mail with the code', async () => {
      const newest = await newestMail(provider.issuer, person.email)
      return newest.id !== before.id && newest
    })
    await tabTo(page, '#code')
    await page.keyboard.type(codeIn(mail))
    await page.keyboard.press('Enter')
    await page.waitForSelector('#password[autocomplete=new-password]')
    await tabTo(page, '#password')
    person.password = 'another-heron-battery-lamp'
    await page.keyboard.type(person.password)
    await page.keyboard.press('Enter')
    await page.waitForURL((url) => url.pathname.endsWith('/login'))
    await tabTo(page, '#identifier')
    await page.keyboard.press('ControlOrMeta+A')
    await page.keyboard.type(person.email)
    await tabTo(page, '#password')
    await page.keyboard.type(person.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/mfa')
    await press(page, 'main a[href$="/mfa/recovery"]')
    await page.waitForURL('**/mfa/recovery')
    await tabTo(page, '#recovery_code')
    await page.keyboard.type(codes[0])
    await page.keyboard.press('Enter')

    await page.waitForURL(at('/account'))
    await press(page, 'nav a[href="/account/activity"]')
    await page.waitForSelector('.timeline')
    await press(page, 'nav a[href="/account/data"]')
    await page.waitForURL(at('/account/data'))
    await tabTo(page, 'main form[data-download] button')
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
    assert.match(download.suggestedFilename(), /\.json$/)
    await press(page, 'main a[href="/account/delete"]')
    await page.waitForURL(at('/account/delete'))
    await tabTo(page, '#sure')
    await page.keyboard.press('Space')
    await press(page, 'main button.danger')
    await page.waitForURL(at('/account/deleted'))
    assertQuiet(who)
  } catch (err) {
    throw await told(err, page)
  } finally {
    await who.close()
  }
})

test('the reading order is the order of the focus', async () => {
  const who = await visitor(browser)
  try {
    for (const path of ['/login', '/signup']) {
      await who.page.goto(provider.issuer + path)
      const jumps = await who.page.evaluate(() => {
        const stops = [...document.querySelectorAll('main :is(a[href], button, input:not([type=hidden]))')].filter((el) => el.checkVisibility())
        return stops.slice(1).filter((el, i) => {
          const [a, b] = [stops[i].getBoundingClientRect(), el.getBoundingClientRect()]
          return b.bottom <= a.top // above the one before
        }).map((el) => el.outerHTML)
      })
      assert.deepEqual(jumps, [], path)
      assert.equal(await who.page.locator('[tabindex]:not([tabindex="-1"]):not([tabindex="0"])').count(), 0)
    }
  } finally {
    await who.close()
  }
})
