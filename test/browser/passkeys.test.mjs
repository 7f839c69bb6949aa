// Passkeys as people use them, with Chromium's virtual authenticator: added, offered, used from the
// button and from the autofill, as a second factor, renamed, removed, unknown; and a browser that
// has none.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { binary, startDev } from '../lib/signet.mjs'
import { assertQuiet, inspect, launch, visitor } from '../lib/browser.mjs'
import { fillLogin, logIn, primary, somebody } from '../lib/pages.mjs'
import { authenticator } from '../lib/authenticator.mjs'
import { run } from '../lib/processes.mjs'

let browser, provider

before(async () => {
  browser = await launch()
  provider = await startDev()
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

/** Somebody with an account and a password. */
async function member () {
  const person = somebody()
  const created = run(binary, ['user', 'create', '--email', person.email, '--name', person.name, '--password-stdin', ...provider.where])
  created.child.stdin.end(person.password + '\n')
  await created
  return person
}

const passkeyButton = '[data-passkey] button'
const choice = (value) => `button[name="choice"][value="${value}"]`
const at = (path) => `${provider.issuer}${path}`

async function signOut (page) {
  await page.goto(at('/logout'))
  await page.click('button[name="answer"][value="leave"]')
  await page.waitForURL(at('/logged-out'))
}

/** Leaves the page with the recovery codes, which come with the first second factor. */
async function keepCodes (page) {
  await page.waitForSelector('.codes')
  assert.equal(await page.locator('.codes li').count(), 10)
  await page.click('main a.primary')
}

/** Adds a passkey on the account pages; the person has just signed in. */
async function add (page) {
  await page.goto(at('/account/passkeys'))
  await page.click('main a.primary')
  await page.click(passkeyButton)
  await keepCodes(page)
  await page.waitForURL(at('/account/passkeys'))
}

/** A visitor who is signed in by password, in a browser that had no authenticator yet. */
async function signedIn (options) {
  const who = await visitor(browser, options)
  const person = await member()
  await who.page.goto(at('/login'))
  await logIn(who.page, person)
  await who.page.waitForURL(at('/account'))
  return { who, page: who.page, person }
}

for (const lang of ['en', 'ko']) {
  describe(lang, () => {
    test('add one, sign out, sign in by button and by autofill, rename, remove', async () => {
      const { who, page, person } = await signedIn({ lang })
      try {
        const device = await authenticator(page, { synced: true })
        await page.goto(at('/account/passkeys'))
        await inspect(who, 'passkeys-none')
        await page.click('main a.primary')
        await page.waitForSelector(passkeyButton)
        await inspect(who, 'passkey-add')
        assert.ok(await page.isHidden('[data-unable]'))
        await page.click(passkeyButton)
        await page.waitForSelector('.codes')
        await inspect(who, 'passkey-first-codes')
        await keepCodes(page)
        await page.waitForURL(at('/account/passkeys'))
        await inspect(who, 'passkeys')
        const [key] = await device.holds(1)
        assert.ok(key.isResidentCredential)
        assert.equal(await page.locator('.list > li').count(), 1)

        // A second one on the same device is refused by the device itself, in words. Who has a
        // second factor uses it before they add another.
        await page.click('main a.primary')
        await page.waitForURL(/\/mfa$/)
        await page.click(passkeyButton)
        await page.waitForURL(at('/account/passkeys/add'))
        await page.click(passkeyButton)
        await page.waitForSelector('[data-passkey] [role=alert]:visible')
        await inspect(who, 'passkey-exists')
        await device.holds(1)

        // By the button: no name is typed.
        await device.autofill(false)
        await signOut(page)
        await page.goto(at('/login'))
        await page.waitForSelector(passkeyButton)
        await inspect(who, 'login-with-passkey')
        assert.equal(await page.getAttribute('#identifier', 'autocomplete'), 'username webauthn')
        await page.click(passkeyButton)
        await page.waitForURL(at('/account'))
        assert.ok((await page.textContent('main')).includes(person.email))

        // From the autofill: the request is there as soon as the page is.
        await device.autofill(true)
        await signOut(page)
        await page.goto(at('/login'))
        await page.waitForURL(at('/account'))

        await page.goto(at('/account/passkeys'))
        await page.click('summary')
        await page.fill('details input[name="name"]', lang === 'ko' ? '내 노트북' : 'My laptop')
        await page.click('details button')
        await page.waitForURL(/saved=passkey_name/)
        assert.match(await page.textContent('.list h2'), lang === 'ko' ? /내 노트북/ : /My laptop/)
        assert.ok(await page.locator('.list time').nth(1).isVisible(), 'last used')

        await device.answering(false)
        await page.click('.list a.danger')
        await inspect(who, 'passkey-remove')
        await page.click('main button.danger')
        await page.waitForURL(/saved=passkey_removed/)
        assert.equal(await page.locator('.list > li').count(), 0)
        await device.holds(0) // the page told the browser that it is no good any more
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })

    test('the offer after a password: not now, never, and yes', async () => {
      const who = await visitor(browser, { lang })
      try {
        const { page } = who
        const device = await authenticator(page, { answers: false })
        const enter = async (person) => {
          await page.goto(at('/login'))
          await page.waitForSelector('[name="can_passkey"]', { state: 'attached' })
          await logIn(page, person)
        }
        const later = await member()
        await enter(later)
        await page.waitForURL(/\/offer$/)
        await inspect(who, 'offer')
        await page.click(choice('later'))
        await page.waitForURL(at('/account'))
        await signOut(page)
        await enter(later)
        await page.waitForURL(at('/account'))
        await signOut(page)

        const never = await member()
        await enter(never)
        await page.click(choice('never'))
        await page.waitForURL(at('/account'))
        await signOut(page)

        const yes = await member()
        await enter(yes)
        await page.waitForURL(/\/offer$/)
        await device.answering(true)
        await page.click(passkeyButton)
        await keepCodes(page)
        await page.waitForURL(at('/account'))
        await device.holds(1)
        await signOut(page)
        await page.goto(at('/login'))
        await page.waitForURL(at('/account'))
        assert.ok((await page.textContent('main')).includes(yes.email))
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })

    test('an unknown one is refused, said, and forgotten by the browser', async () => {
      const { who, page } = await signedIn({ lang, expected: [401] })
      try {
        const device = await authenticator(page)
        await add(page)
        const [key] = await device.holds(1)
        await page.goto(at('/account/passkeys'))
        await page.click('.list a.danger')
        await page.waitForURL(/\/mfa$/)
        await page.click(passkeyButton)
        await page.click('main button.danger')
        await page.waitForURL(/saved=passkey_removed/)
        await device.holds(0)
        await device.autofill(false)
        await signOut(page)

        await device.put(key) // restored from somewhere
        await page.goto(at('/login'))
        await page.click(passkeyButton)
        await page.waitForSelector('.summary')
        assert.match(page.url(), /\/passkey$/)
        await inspect(who, 'login-unknown-passkey')
        await device.holds(0)
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })

    test('cancelled: words beside the button, and the password still works', async () => {
      const { who, page, person } = await signedIn({ lang })
      try {
        await authenticator(page, { verified: false })
        await signOut(page)
        await page.goto(at('/login'))
        await page.click(passkeyButton) // there is no key at all
        await page.waitForSelector('[data-passkey] [role=alert]:visible')
        await inspect(who, 'login-passkey-cancelled')
        await fillLogin(page, person)
        await page.click(primary)
        await page.waitForURL(/\/offer$/)
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })
  })
}

test('a page that stood open for long asks for newer options by itself', async () => {
  const { who, page } = await signedIn()
  try {
    const device = await authenticator(page)
    await add(page)
    await device.answering(false)
    await signOut(page)
    await page.clock.install()
    const newer = () => page.waitForResponse(/\/passkey\/options$/).then((response) => response.status())

    await page.goto(at('/login'))
    await page.waitForSelector('[name="can_passkey"]', { state: 'attached' })
    let fetched = newer() // for the autofill, before the old ones end
    await page.clock.fastForward('05:00')
    assert.equal(await fetched, 200)

    await device.autofill(false)
    await page.goto(at('/login'))
    await page.waitForSelector('[name="can_passkey"]', { state: 'attached' })
    await device.answering(true)
    await page.clock.fastForward('05:00')
    fetched = newer() // for the button
    await page.click(passkeyButton)
    assert.equal(await fetched, 200)
    await page.clock.resume()
    await page.waitForURL(at('/account'))
    assertQuiet(who)
  } finally {
    await who.close()
  }
})

test('after a passkey no second factor is asked, and the tokens say what it was', async () => {
  const { who, page, person } = await signedIn()
  try {
    const device = await authenticator(page)
    await add(page)
    await device.autofill(false)
    await signOut(page)
    await page.goto(provider.sample)
    await page.click('button[name="action"][value="sign-in"]')
    await page.click(passkeyButton)
    await page.waitForSelector('button[name="answer"][value="allow"]')
    await page.click('button[name="answer"][value="allow"]')
    await page.waitForSelector('#id-token')
    const token = JSON.parse(await page.textContent('#id-token'))
    assert.equal(token.acr, 'urn:signet:acr:2fa')
    assert.deepEqual(token.amr, ['pop', 'user', 'mfa'])

    // With the password the passkey is the second factor.
    await signOut(page)
    await page.goto(at('/login'))
    await logIn(page, person)
    await page.waitForURL(/\/mfa$/)
    await inspect(who, 'mfa-with-passkey')
    await page.click(passkeyButton)
    await page.waitForURL(at('/account'))
    assertQuiet(who)
  } finally {
    await who.close()
  }
})

test('without script nothing of it shows, and everything else is there', async () => {
  const who = await visitor(browser, { js: false })
  try {
    const { page } = who
    const person = await member()
    await page.goto(at('/login'))
    assert.ok(await page.isHidden(passkeyButton))
    await logIn(page, person)
    await page.waitForURL(at('/account')) // no offer either
    await page.goto(at('/account/passkeys/add'))
    assert.ok(await page.isHidden(passkeyButton))
    assert.ok(await page.isVisible('[data-unable]'))
    await inspect(who, 'passkey-add-without-script')
    assertQuiet(who)
  } finally {
    await who.close()
  }
})

test('a browser without passkeys sees nothing of them', async () => {
  const who = await visitor(browser)
  try {
    const { page } = who
    await page.addInitScript(() => { delete globalThis.PublicKeyCredential })
    await page.goto(at('/login'))
    await page.waitForSelector('.reveal')
    assert.ok(await page.isHidden(passkeyButton))
    assertQuiet(who)
  } finally {
    await who.close()
  }
})
