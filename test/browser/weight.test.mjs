// What a login page weighs, what password managers find on it, and the headers around it.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { startDev } from '../lib/signet.mjs'
import { authorizeUrl, landing } from '../lib/landing.mjs'
import { launch, visitor, assertQuiet, picture } from '../lib/browser.mjs'
import { logIn, primary, signUp, somebody } from '../lib/pages.mjs'

let browser, provider, place, client

before(async () => {
  browser = await launch()
  provider = await startDev()
  place = await landing()
  client = await provider.client('--kind', 'web', '--name', 'Reading Room', '--redirect-uri', place.callback, '--first-party')
})
after(async () => {
  await browser?.close()
  place?.close()
  await provider?.close()
})

const ask = (more) => authorizeUrl(provider, client, place, more)

/** Bytes on the wire and requests of one cold visit, counted by the browser. */
async function weigh (url, person) {
  const who = await visitor(browser)
  try {
    if (person) {
      await who.page.goto(`${provider.issuer}/login`)
      await logIn(who.page, person)
      await who.page.waitForSelector('nav')
    }
    const wire = await who.context.newCDPSession(who.page)
    await wire.send('Network.enable')
    await wire.send('Network.setCacheDisabled', { cacheDisabled: true })
    const requests = []
    let bytes = 0
    wire.on('Network.responseReceived', ({ response, type }) => {
      if (!response.url.startsWith('data:')) requests.push(`${type} ${response.url}`)
    })
    wire.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength })
    await who.page.goto(url, { waitUntil: 'networkidle' })
    assertQuiet(who)
    return { bytes, requests }
  } finally {
    await who.close()
  }
}

test('the login page: at most 20 kB in at most 3 requests, headers included', async () => {
  // The redirect from the authorization endpoint is the application's, not the page's.
  const { bytes, requests } = await weigh(`${provider.issuer}/login`)
  console.log(`login page: ${bytes} bytes, ${requests.length} requests`)
  assert.ok(requests.length <= 3, requests.join('\n'))
  assert.ok(bytes > 1000 && bytes <= 20_000, `${bytes} bytes`)
})

test('the account pages: at most 60 kB, nothing from elsewhere', async () => {
  const person = somebody()
  const who = await visitor(browser)
  await who.page.goto(`${provider.issuer}/signup`)
  await signUp(who.page, person)
  await who.page.waitForSelector('nav')
  await who.close()
  for (const path of ['/account', '/account/profile', '/account/sessions', '/account/security', '/account/passkeys', '/account/activity', '/account/data']) {
    const { bytes, requests } = await weigh(provider.issuer + path, person)
    assert.ok(bytes <= 60_000, `${path}: ${bytes} bytes`)
    for (const request of requests) assert.ok(request.includes(provider.issuer), request)
  }
})

test('nothing moves while the page loads', async () => {
  const who = await visitor(browser)
  try {
    const wire = await who.context.newCDPSession(who.page)
    await wire.send('Network.enable')
    await wire.send('Network.emulateNetworkConditions', { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 90_000 })
    await who.page.goto(ask(), { waitUntil: 'networkidle' })
    const shift = await who.page.evaluate(() => new Promise((resolve) => {
      let sum = 0
      new PerformanceObserver((list) => { for (const e of list.getEntries()) sum += e.value }).observe({ type: 'layout-shift', buffered: true })
      requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)))
    }))
    assert.equal(shift, 0)
  } finally {
    await who.close()
  }
})

test('password managers: tokens, names and a stable form on login, sign-up and change', async () => {
  const who = await visitor(browser)
  const { page } = who
  const field = (id) => page.$eval(`#${id}`, (el) => ({
    name: el.name, type: el.type, autocomplete: el.autocomplete, capitalize: el.getAttribute('autocapitalize'),
    spell: el.getAttribute('spellcheck'), label: el.labels[0]?.checkVisibility(), method: el.form?.method,
    limit: el.maxLength, submit: Boolean(el.form?.querySelector('button[type=submit]'))
  }))
  const common = { method: 'post', limit: -1, submit: true, label: true }
  try {
    await page.goto(ask())
    assert.deepEqual(await field('identifier'), { ...common, name: 'identifier', type: 'text', autocomplete: 'username webauthn', capitalize: 'none', spell: 'false' })
    assert.deepEqual(await field('password'), { ...common, name: 'password', type: 'password', autocomplete: 'current-password', capitalize: 'none', spell: 'false' })

    await page.goto(`${provider.issuer}/signup`)
    assert.equal((await field('email')).type, 'email')
    assert.equal((await field('email')).autocomplete, 'email')
    assert.equal((await field('password')).autocomplete, 'new-password')
    assert.equal(await page.locator('input[type=password]').count(), 1, 'no field to repeat the password')
    const hint = await page.getAttribute('#password', 'aria-describedby')
    assert.match(await page.textContent(`#${hint.split(' ')[0]}`), /15/, 'the rule stands beside the field before typing')

    await signUp(page, somebody())
    await page.waitForSelector('nav')
    await page.goto(`${provider.issuer}/.well-known/change-password`)
    assert.equal(new URL(page.url()).pathname, '/account/password')
    assert.equal((await field('current')).autocomplete, 'current-password')
    assert.equal((await field('password')).autocomplete, 'new-password')
    assert.equal(await page.locator('input[autocomplete=username]').count(), 1, 'the manager learns whose password it is')
    assertQuiet(who)
  } finally {
    await who.close()
  }
})

test('a password of 128 characters with spaces around it is kept as it was typed', async () => {
  const who = await visitor(browser)
  const { page } = who
  const person = { ...somebody(), password: ` ${'päss wörd 비밀 '.repeat(11).slice(0, 126)} ` }
  try {
    await page.goto(`${provider.issuer}/signup`)
    await signUp(page, person)
    await page.waitForSelector('nav')
    await who.context.clearCookies()
    await page.goto(`${provider.issuer}/login`)
    await logIn(page, person)
    await page.waitForSelector('nav')
  } finally {
    await who.close()
  }
})

test('show password: a real button that says what it does, hidden again on submit', async () => {
  const who = await visitor(browser, { expected: [401] })
  const { page } = who
  try {
    await page.goto(ask())
    await page.fill('#password', 'what is typed here')
    await page.getByRole('button', { name: 'Show password' }).click()
    assert.equal(await page.getAttribute('#password', 'type'), 'text')
    await page.getByRole('button', { name: 'Hide password' }).click()
    assert.equal(await page.getAttribute('#password', 'type'), 'password')
    await page.getByRole('button', { name: 'Show password' }).click()
    await page.fill('#identifier', 'nobody@example.com')
    const type = page.evaluate(() => new Promise((resolve) => addEventListener('submit', () => queueMicrotask(() => resolve(document.querySelector('#password').type)))))
    await page.click(primary, { noWaitAfter: true })
    assert.equal(await type, 'password')
  } finally {
    await who.close()
  }
})

test('every page forbids frames, foreign scripts, caching and referrers', async () => {
  for (const path of ['/login', '/signup', '/logout', '/no/such/page']) {
    const answer = await fetch(provider.issuer + path, { headers: { accept: 'text/html' } })
    const header = (name) => answer.headers.get(name) ?? ''
    const policy = header('content-security-policy')
    assert.match(policy, /default-src 'none'/, path)
    assert.match(policy, /frame-ancestors 'none'/, path)
    assert.match(policy, /base-uri 'none'/, path)
    assert.doesNotMatch(policy, /unsafe|\*/, path)
    assert.match(header('cache-control'), /no-store/, path)
    assert.match(header('referrer-policy'), /no-referrer|same-origin|strict-origin/, path)
    assert.equal(header('x-content-type-options'), 'nosniff', path)
    assert.match(header('cross-origin-opener-policy'), /same-origin/, path)
    assert.doesNotMatch(await answer.text(), /<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)/, `${path}: nothing inline`)
  }
})

test('wider text spacing breaks nothing at 320 px (WCAG 1.4.12)', async () => {
  for (const lang of ['en', 'ko']) {
    const who = await visitor(browser, { lang, width: 320 })
    try {
      for (const url of [ask(), `${provider.issuer}/signup`, `${provider.issuer}/no/such/page`]) {
        await who.page.goto(url)
        const overflow = await who.page.evaluate(() => {
          const sheet = new CSSStyleSheet()
          sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }')
          document.adoptedStyleSheets.push(sheet)
          const cut = [...document.querySelectorAll('button, a, label, h1, p')]
            .filter((el) => el.checkVisibility() && getComputedStyle(el).overflowX !== 'visible' && el.scrollWidth > el.clientWidth + 1)
            .map((el) => el.outerHTML.slice(0, 80))
          return { sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth, cut }
        })
        assert.deepEqual(overflow, { sideways: 0, cut: [] }, url)
      }
    } finally {
      await who.close()
    }
  }
})

test('forced colours keep every control visible', async () => {
  const who = await visitor(browser)
  try {
    await who.page.emulateMedia({ forcedColors: 'active' })
    await who.page.goto(ask())
    await picture(who.page, 'login.forced-colours')
    const edges = await who.page.$$eval('main :is(input:not([type=hidden]), button.primary)', (list) => list.map((el) => {
      const style = getComputedStyle(el)
      return style.borderTopStyle !== 'none' && parseFloat(style.borderTopWidth) >= 1
    }))
    assert.deepEqual(edges, edges.map(() => true))
  } finally {
    await who.close()
  }
})
