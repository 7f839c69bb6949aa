// A person and their account, from the first day to the last, as people and an operator would
// have it: a provider with mail, another provider to sign in through, an application. Every step
// in both languages; the browser's authenticator is virtual.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificate, password, reserve } from '../lib/signet.mjs'
import { mailServer, codeOf, linkOf } from '../lib/smtp.mjs'
import { authorizeUrl, landing } from '../lib/landing.mjs'
import { launch, told, visit, visitor, assertQuiet } from '../lib/browser.mjs'
import { allow, button, fillSignUp, logIn, primary, somebody } from '../lib/pages.mjs'
import { authenticator } from '../lib/authenticator.mjs'
import { App } from '../lib/totp.mjs'
import { until } from '../lib/processes.mjs'

let browser, mail, trust, corp, provider, place, client

before(async () => {
  browser = await launch()
  mail = await mailServer()
  // The other provider is a Signet, too. It has to know ours before ours can start.
  trust = await certificate()
  corp = await (await reserve({ tls: trust })).start(mail.config.replace('Signet <', 'Corp <') + '\nname: Corp')
  place = await landing()
  const ours = await reserve({ env: { SSL_CERT_FILE: join(trust.path, 'cert.pem') } })
  const registered = await corp.client('--kind', 'web', '--name', 'House ID', '--redirect-uri', `${ours.issuer}/upstream/corp/callback`,
    '--scope', 'openid profile email', '--first-party')
  provider = await ours.start([
    'name: House', mail.config,
    'login:', '  mail_code: true', 'outbound:', '  allow_hosts: [localhost]',
    'upstreams:', '  - name: corp', '    label: Corp', '    kind: oidc', `    issuer: ${corp.issuer}`,
    `    client_id: ${registered.client_id}`, `    client_secret: ${registered.client_secret}`, '    trust_email: true'
  ].join('\n'))
  client = await provider.client('--kind', 'web', '--name', 'Reading Room', '--redirect-uri', place.callback,
    '--scope', 'openid profile email offline_access')
})
after(async () => {
  await browser?.close()
  place?.close()
  await provider?.close()
  await corp?.close()
  mail?.close()
  trust?.remove()
})

const at = (path) => provider.issuer + path
const home = (page) => page.waitForSelector('nav a[href="/account/sessions"]')

/** Exchanges the newest code that the application got, and refreshes: false when it has no access any more. */
const token = async (parameters) => {
  const answer = await fetch(at('/oauth2/token'), {
    method: 'POST',
    headers: { authorization: 'Basic ' + Buffer.from(`${encodeURIComponent(client.client_id)}:${encodeURIComponent(client.client_secret)}`).toString('base64') },
    body: new URLSearchParams(parameters)
  })
  return { status: answer.status, ...(await answer.json()) }
}

/** How many mails somebody has got; `mail.to` with it as `since` waits for the next. */
const mailsTo = (address) => mail.mails.filter((m) => m.to === address).length

/** Signs up at a provider whose mail comes to our server, with the code. */
async function register (page, origin, person) {
  const since = mailsTo(person.email)
  await page.goto(`${origin}/signup`)
  await fillSignUp(page, person)
  await page.click(primary)
  await page.waitForURL('**/verify')
  await page.fill('#code', codeOf(await mail.to(person.email, { since })))
  await page.click(primary)
  await page.waitForURL((url) => !url.pathname.endsWith('/verify'))
}

async function signOut (page) {
  await page.goto(at('/logout'))
  await page.click(button('answer', 'leave'))
  await page.waitForURL('**/logged-out')
}

/** Signs in on the login page, with the code of the app where it is asked for. */
async function enter (page, person, app) {
  await logIn(page, person)
  await page.waitForURL((url) => !url.pathname.endsWith('/login'))
  if (page.url().endsWith('/mfa')) await secondFactor(page, app)
}

/** With the app if it has a code that was not used yet, else with one of the recovery codes. */
async function secondFactor (page, app) {
  if (app.ready || !app.spare.length) {
    await page.fill('#code', await app.code())
  } else {
    await page.click('main a[href$="/mfa/recovery"]')
    await page.fill('#recovery_code', app.spare.pop())
  }
  await page.click(primary)
  await page.waitForURL((url) => !/\/mfa(\/recovery)?$/.test(url.pathname))
}

/** Goes to a page of the account, and signs in where that is asked for first. */
async function go (page, path, person, app) {
  await page.goto(at(path))
  if (page.url().endsWith('/login')) await enter(page, person, app)
  else if (page.url().endsWith('/mfa')) await secondFactor(page, app)
  await page.waitForURL(at(path))
}

for (const lang of ['en', 'ko']) {
  describe(lang, () => {
    const person = somebody(lang === 'ko' ? '박민아' : 'Mina Park')
    const first = person.email
    let who, page, keys, app, codes

    before(async () => {
      who = await visitor(browser, { lang, expected: [401, 422] })
      page = who.page
    })
    after(() => who?.close())

    const step = (name, run) => test(name, async () => {
      try {
        await run()
      } catch (err) {
        throw await told(err, page)
      }
    })

    step('sign up, and verify by code', async () => {
      await page.goto(authorizeUrl(provider, client, place, { scope: 'openid email offline_access' }))
      await page.click('main a[href*="signup"]')
      await fillSignUp(page, person)
      await page.click(primary)
      await page.waitForURL('**/verify')
      const sent = await mail.to(person.email)
      assert.equal(sent.headers['content-language'] ?? lang, lang)
      assert.ok(linkOf(sent, provider.issuer), 'the mail has a link as well')
      assert.doesNotMatch(sent.html, /<img|https?:\/\/(?!localhost)/, 'nothing from elsewhere')

      await page.fill('#code', '0000 0000')
      await page.click(primary)
      await page.waitForSelector('#code[aria-invalid=true]')
      const code = codeOf(sent)
      await page.fill('#code', `${code.slice(0, 4)}-${code.slice(4)} `)
      await page.click(primary)
      await page.waitForSelector(button('answer', 'allow'))
      await allow(page)
      await page.waitForURL(`${place.url}/**`)
      assert.ok(place.answers.at(-1).code)

      await page.goto(at('/account/profile'))
      assert.match(await page.textContent('main'), new RegExp(person.email))
      assert.equal(await page.locator('main .tag').count(), 1, 'the address is marked as verified')
      assertQuiet(who)
    })

    step('add a passkey, sign out, sign in by autofill', async () => {
      keys = await authenticator(page)
      await page.goto(at('/account/passkeys/add'))
      await page.click('[data-passkey] button')
      await page.waitForSelector('.codes') // recovery codes come with the first second factor
      codes = await page.$$eval('.codes code', (list) => list.map((el) => el.textContent))
      assert.equal(codes.length, 10)
      await page.click('main a.primary')
      await page.waitForURL(at('/account/passkeys'))
      await keys.holds(1)
      assert.equal(await page.locator('.list > li').count(), 1)
      await mail.to(person.email, { since: 1 }) // that there is a new factor

      await signOut(page)
      // No press on anything: the browser offers the passkey where the name is typed, and here
      // the virtual authenticator picks it.
      await page.goto(at('/login'))
      await home(page)
      assertQuiet(who)
    })

    step('add an authenticator app', async () => {
      await page.goto(at('/account/security/totp'))
      await page.click(button('act', 'begin'))
      app = new App((await page.textContent('#key')).replace(/\s/g, ''))
      app.spare = codes.slice(1)
      await page.fill('#code', await app.code())
      await page.click('main form:has(#code) button.primary')
      await page.waitForSelector('#key', { state: 'detached' })
      await page.goto(at('/account/security/totp'))
      assert.equal(await page.locator(button('act', 'remove')).count(), 1)
      await page.goto(at('/account/security/recovery-codes'))
      assert.equal(await page.locator('.codes').count(), 0, 'the codes were shown once')
      assert.match(await page.textContent('main'), /10/)
      assertQuiet(who)
    })

    step('lose the app, come back with a recovery code', async () => {
      await signOut(page)
      for (const key of await keys.keys()) await keys.drop(key.credentialId) // it was on the telephone, too
      await page.goto(at('/login'))
      await logIn(page, person)
      await page.waitForURL('**/mfa')
      await page.goto(at('/account'))
      await page.waitForSelector('#password')
      assert.equal(await page.locator('nav a[href="/account/sessions"]').count(), 0, 'half a sign-in opens nothing')
      await logIn(page, person)
      await page.waitForURL('**/mfa')
      await page.click('main a[href$="/mfa/recovery"]')
      await page.fill('#recovery_code', codes[0].toUpperCase().replaceAll('-', ' '))
      await page.click(primary)
      await home(page)
      await until('the notice that a recovery code was used', () => mail.mails.some((m) => m.to === person.email && /9/.test(m.text) && m.text.includes('/m/')))

      await page.goto(at('/account/security/recovery-codes'))
      assert.match(await page.textContent('main'), /9/)
      assertQuiet(who)
    })

    step('the code is worth nothing the second time', async () => {
      await visit(browser, { lang, expected: [401, 422] }, async (other) => {
        await other.page.goto(at('/login'))
        await logIn(other.page, person)
        await other.page.waitForURL('**/mfa')
        await other.page.click('main a[href$="/mfa/recovery"]')
        await other.page.fill('#recovery_code', codes[0])
        await other.page.click(primary)
        await other.page.waitForSelector('[aria-invalid=true]')
      })
    })

    step('forget the password, reset it by mail; the second factor is still asked for', async () => {
      await visit(browser, { lang, expected: [401, 422] }, async (other) => {
        const since = mailsTo(person.email)
        await other.page.goto(at('/login'))
        await other.page.click('main a[href$="/forgot"]')
        await other.page.fill('#identifier', person.email)
        await other.page.click(primary)
        await other.page.waitForURL('**/reset')
        await other.page.fill('#code', codeOf(await mail.to(person.email, { since })))
        await other.page.click(primary)
        await other.page.waitForSelector('#password[autocomplete=new-password]')
        person.password = 'another-heron-battery-lamp'
        await other.page.fill('#password', person.password)
        await other.page.click(primary)
        await other.page.waitForURL((url) => url.pathname.endsWith('/login'))
        await logIn(other.page, person)
        await other.page.waitForURL('**/mfa')
        await secondFactor(other.page, app)
        await home(other.page)

        await page.goto(at('/account'))
        await page.waitForSelector('#password') // that session has ended
        await logIn(page, person)
        await page.waitForURL('**/mfa')
        await page.check('input[name=trust]')
        await page.fill('#code', await app.code())
        await page.click(primary)
        await home(page)
        await signOut(page)
        await page.goto(at('/login'))
        await logIn(page, person)
        await home(page) // remembered: the password is enough
      })
    })

    step('change the address, and undo it from the old one', async () => {
      await go(page, '/account/address', person, app)
      const next = somebody().email
      await page.fill('#email', next)
      await page.click(primary)
      await page.waitForSelector('#code')
      await page.fill('#code', codeOf(await mail.to(next)))
      await page.click('main form:has(#code) button.primary')
      await page.waitForURL('**/account/profile?saved=address')
      assert.match(await page.textContent('main'), new RegExp(next))

      const told = await until('the mail to the old address', () => mail.mails.find((m) => m.to === first && m.text.includes(next)))
      await visit(browser, { lang }, async (stranger) => {
        await stranger.page.goto(linkOf(told, provider.issuer))
        assert.equal(new URL(stranger.page.url()).pathname, '/m', 'the token is not in the address bar')
        const since = mailsTo(first)
        await stranger.page.click(primary)
        // Whoever changed the address may know the password, so a new one is set at once.
        await stranger.page.waitForURL('**/reset')
        await stranger.page.fill('#code', codeOf(await mail.to(first, { since })))
        await stranger.page.click(primary)
        await stranger.page.waitForSelector('#password[autocomplete=new-password]')
        person.password = 'one-more-heron-battery-lamp'
        await stranger.page.fill('#password', person.password)
        await stranger.page.click(primary)
        await stranger.page.waitForURL((url) => url.pathname.endsWith('/login'))
        await enter(stranger.page, person, app)
        await home(stranger.page)
        await stranger.page.goto(at('/account/profile'))
        assert.match(await stranger.page.textContent('main'), new RegExp(first))
      })
      await page.goto(at('/account'))
      await page.waitForSelector('#password')
    })

    step('sign in through the other provider, and link it after proof', async () => {
      await visit(browser, { lang, expected: [401], anyCertificate: true }, async (there) => {
        // The same address there and here: nothing is linked before the owner proves this account.
        await register(there.page, corp.issuer, { ...person, password })
        await there.page.goto(at('/login'))
        await there.page.click('main a[href*="upstream/corp"], main form[action*="upstream/corp"] button')
        await there.page.waitForURL(`${provider.issuer}/**`)
        await there.page.waitForSelector('#password')
        assert.equal(await there.page.locator('nav a[href="/account/sessions"]').count(), 0, 'not signed in by the address alone')
        await enter(there.page, person, app)
        await home(there.page)
        await there.page.goto(at('/account/upstream'))
        assert.match(await there.page.textContent('main'), /Corp/)

        await signOut(there.page)
        await there.page.goto(at('/login'))
        await there.page.click('main a[href*="upstream/corp"], main form[action*="upstream/corp"] button')
        await there.page.waitForURL('**/mfa') // the other provider's word is one factor
        await secondFactor(there.page, app)
        await home(there.page)
      })
    })

    step('see the session of another browser, end it, and its application is out at the next refresh', async () => {
      await visit(browser, { lang }, async (other) => {
        const url = new URL(authorizeUrl(provider, client, place, { scope: 'openid email offline_access' }))
        const verifier = 'v'.repeat(43)
        url.searchParams.set('code_challenge', Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(verifier))).toString('base64url'))
        await other.page.goto(String(url))
        await enter(other.page, person, app)
        await other.page.waitForURL((u) => u.origin === place.url || u.pathname.endsWith('/consent'))
        if (other.page.url().includes('/consent')) await allow(other.page)
        await other.page.waitForURL(`${place.url}/**`)
        const got = await token({ grant_type: 'authorization_code', code: place.answers.at(-1).code, redirect_uri: place.callback, code_verifier: verifier })
        assert.equal(got.status, 200, JSON.stringify(got))
        const again = await token({ grant_type: 'refresh_token', refresh_token: got.refresh_token })
        assert.equal(again.status, 200)

        await go(page, '/account/sessions', person, app)
        const others = page.locator('.list > li:not(:has(.tag))')
        while (await others.count()) {
          await others.first().locator('button').click()
          await page.waitForSelector('[role=status].saved')
        }
        const refused = await token({ grant_type: 'refresh_token', refresh_token: again.refresh_token })
        assert.equal(refused.status, 400)
        assert.equal(refused.error, 'invalid_grant')
        const info = await fetch(at('/oauth2/userinfo'), { headers: { authorization: `Bearer ${again.access_token}` } })
        assert.equal(info.status, 401)
        await other.page.goto(at('/account'))
        await other.page.waitForSelector('#password')
      })
    })

    step('read what happened', async () => {
      await page.goto(at('/account/activity'))
      const lines = await page.$$eval('.timeline > li > p:first-child', (list) => list.map((el) => el.textContent.trim()))
      assert.ok(lines.length > 10, lines.join('\n'))
      for (const line of lines) assert.doesNotMatch(line, /^[a-z_]+\.[a-z_]+/, 'a sentence, not the name of an event')
      assert.match(await page.textContent('.timeline'), /Chrome/)
    })

    step('take the data home, delete the account, think again', async () => {
      await go(page, '/account/data', person, app)
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('main form[data-download] button')])
      const data = JSON.parse(readFileSync(await download.path()))
      const text = JSON.stringify(data)
      assert.match(text, new RegExp(first))
      assert.equal(data.second_factors.passkeys.length, 1)
      assert.equal(data.linked_accounts.length, 1)
      assert.ok(data.activity.length > 10)
      assert.doesNotMatch(text, /argon2|"hash|seed|secret/i)

      await page.goto(at('/account/delete'))
      await page.click('main form button.danger')
      await page.waitForSelector('#sure[aria-invalid=true]')
      await page.check('#sure')
      await page.click('main form button.danger')
      await page.waitForURL('**/account/deleted')

      // Within the grace period the owner can have it back, or leave it.
      await page.goto(at('/login'))
      await enter(page, person, app)
      await page.waitForURL('**/restore')
      await page.click(button('answer', 'leave'))
      await page.waitForURL('**/account/deleted')
      await page.goto(at('/login'))
      await enter(page, person, app)
      await page.waitForURL('**/restore')
      await page.click(button('answer', 'keep'))
      await home(page)
      assertQuiet(who)
    })
  })
}
