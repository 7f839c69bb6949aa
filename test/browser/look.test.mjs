// How the pages look and feel beside what they say: an operator's brand, the switch for colours,
// hints while typing.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { startServe } from '../lib/signet.mjs'
import { launch, visitor, inspect, assertQuiet, assertAccessible } from '../lib/browser.mjs'
import { button, fillSignUp, logIn, primary, signUp, somebody } from '../lib/pages.mjs'

let browser
before(async () => { browser = await launch() })
after(() => browser?.close())

const svg = (colour) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 32"><rect width="32" height="32" rx="8" fill="${colour}"/><text x="42" y="24" font-family="sans-serif" font-size="22" font-weight="bold" fill="${colour}">Acorn</text></svg>`

describe('brand', () => {
  let provider
  before(async () => {
    provider = await startServe([
      'name: Acorn',
      'branding:', '  logo_file: day.svg', '  logo_dark_file: night.svg', '  accent: "#ffd400"',
      '  help_url: mailto:help@example.com', '  privacy_url: https://example.com/privacy', '  terms_url: https://example.com/terms',
      '  text:', '    en: |', '      Use the account of your department.', '      New here? Ask <b>at the desk</b>.', '    ko: 부서 계정으로 로그인해 주세요.'
    ].join('\n'), { 'day.svg': svg('#14532d'), 'night.svg': svg('#86efac') })
  })
  after(() => provider?.close())

  for (const lang of ['en', 'ko']) {
    for (const scheme of ['light', 'dark']) {
      for (const width of [320, 1280]) {
        test(`${lang}, ${scheme}, ${width} px`, async () => {
          const who = await visitor(browser, { lang, scheme, width })
          const { page } = who
          try {
            await page.goto(`${provider.issuer}/login`)
            await inspect(who, 'brand-login')
            await assertAccessible(page, 'brand-login')
            const image = await page.$eval('header img', (img) => ({ width: img.naturalWidth, alt: img.alt, src: img.currentSrc }))
            assert.ok(image.width > 0, 'the logo is loaded')
            assert.equal(image.alt, 'Acorn')
            const other = scheme === 'light' ? 'dark' : 'light'
            await page.click(button('theme', other))
            await page.waitForSelector(`html[data-theme=${other}]`)
            assert.notEqual(await page.$eval('header img', (img) => img.currentSrc), image.src, 'the logo of the other scheme')
            await assertAccessible(page, 'brand-login, switched')

            for (const href of ['mailto:help@example.com', 'https://example.com/privacy', 'https://example.com/terms']) {
              assert.equal(await page.locator(`footer a[href="${href}"]`).count(), 1)
            }
            await page.goto(`${provider.issuer}/signup`)
            await signUp(page, somebody())
            await page.waitForSelector('nav')
            await inspect(who, 'brand-account')
            await assertAccessible(page, 'brand-account')
            assertQuiet(who)
          } finally {
            await who.close()
          }
        })
      }
    }
  }

  test('yellow buttons have black letters, links are darker', async () => {
    const who = await visitor(browser)
    const { page } = who
    try {
      await page.goto(`${provider.issuer}/login`)
      const colours = await page.$eval(primary, (el) => [getComputedStyle(el).backgroundColor, getComputedStyle(el).color])
      assert.deepEqual(colours, ['rgb(255, 212, 0)', 'rgb(0, 0, 0)'])
      assert.equal(await page.locator('main b').count(), 0, 'the words are text')
      assert.match(await page.textContent('main'), /Ask <b>at the desk<\/b>/)
      assert.match(provider.program.output, /branding\.accent.*4\.5:1/)
    } finally {
      await who.close()
    }
  })
})

describe('comforts', () => {
  let provider
  before(async () => { provider = await startServe() })
  after(() => provider?.close())

  for (const js of [true, false]) {
    test(`colours: chosen, kept, taken back; ${js ? 'with' : 'without'} script`, async () => {
      const who = await visitor(browser, { js, scheme: 'light' })
      const { page } = who
      const ground = () => js ? page.$eval('body', (el) => getComputedStyle(el).backgroundColor) : page.getAttribute('html', 'data-theme')
      try {
        await page.goto(`${provider.issuer}/signup`)
        const day = await ground()
        await page.fill('#name', 'Mina')
        await page.fill('#password', 'what nobody sees again')
        await page.click(button('theme', 'dark'))
        await page.waitForSelector('html[data-theme=dark]')
        const night = await ground()
        assert.notEqual(night, day)
        assert.equal(await page.inputValue('#name'), 'Mina', 'what was typed stays')
        assert.equal(await page.inputValue('#password'), '')
        assert.equal(await page.locator('[aria-invalid]').count(), 0, 'a switch is no attempt')

        const scheme = await (await who.context.request.get(page.url())).text()
        assert.match(scheme, /<meta name="color-scheme" content="dark">/, 'dark from the first byte')
        await page.goto(`${provider.issuer}/no/such/page`).catch(() => {})
        await page.click(button('theme', 'light'))
        await page.waitForSelector('html[data-theme=light]')
        assert.equal(new URL(page.url()).pathname, '/no/such/page', 'the switch comes back to its page')
        await page.click(button('theme', 'auto'))
        await page.waitForSelector('html:not([data-theme])')
      } finally {
        await who.close()
      }
    })
  }

  test('on every page of the account, and in what a journey shows next', async () => {
    const who = await visitor(browser)
    const { page } = who
    try {
      await page.goto(`${provider.issuer}/login`)
      await page.click(button('theme', 'dark'))
      await page.waitForSelector('html[data-theme=dark]')
      await page.goto(`${provider.issuer}/signup`)
      await signUp(page, somebody())
      await page.waitForSelector('nav')
      for (const href of await page.$$eval('nav a', (list) => list.map((a) => a.href))) {
        await page.goto(href)
        assert.equal(await page.getAttribute('html', 'data-theme'), 'dark', href)
      }
      assertQuiet(who)
    } finally {
      await who.close()
    }
  })

  test('a field is checked when it is left, not while somebody types', async () => {
    const who = await visitor(browser)
    const { page } = who
    try {
      await page.goto(`${provider.issuer}/signup`)
      await page.focus('#password')
      await page.keyboard.type('short')
      assert.equal(await page.locator('#password-check').count(), 0, 'not per key')
      await page.keyboard.press('Shift+Tab')
      assert.match(await page.textContent('#password-check'), /15/)
      assert.ok((await page.getAttribute('#password', 'aria-describedby')).split(' ').includes('password-check'))
      await assertAccessible(page, 'a password that is too short')
      await page.focus('#password')
      await page.keyboard.type(' no longer as short as it was')
      assert.equal(await page.locator('#password-check').count(), 1, 'nor taken back per key')
      await page.keyboard.press('Tab')
      assert.equal(await page.locator('#password-check').count(), 0)
      assert.equal(await page.getAttribute('#password', 'aria-invalid'), null)

      await page.focus('#email')
      await page.keyboard.press('Tab')
      assert.equal(await page.locator('#email-check').count(), 0, 'empty is no mistake yet')
      await page.fill('#email', 'mina@')
      await page.focus('#name')
      assert.match(await page.textContent('#email-check'), /name@example.com/)
      assertQuiet(who)
    } finally {
      await who.close()
    }
  })

  test('a press on the button hits it although the field above has a mistake', async () => {
    const who = await visitor(browser, { expected: [422] })
    const { page } = who
    try {
      await page.goto(`${provider.issuer}/signup`)
      await fillSignUp(page, { ...somebody(), password: 'short' })
      const box = await page.locator(primary).boundingBox()
      const [answer] = await Promise.all([
        page.waitForResponse((r) => r.request().method() === 'POST'),
        page.mouse.click(box.x + box.width / 2, box.y + 4)
      ])
      assert.equal(answer.status(), 422)
    } finally {
      await who.close()
    }
  })

  test('Caps Lock is told, and announced', async () => {
    const who = await visitor(browser)
    const { page } = who
    try {
      await page.goto(`${provider.issuer}/login`)
      const hint = page.locator('.caps')
      const press = (on) => page.$eval('#password', (el, on) => el.dispatchEvent(new KeyboardEvent('keydown', { key: 'A', modifierCapsLock: on, bubbles: true })), on)
      assert.equal(await hint.textContent(), '')
      assert.equal(await hint.getAttribute('role'), 'status')
      await press(true)
      assert.match(await hint.textContent(), /Caps Lock/)
      await press(false)
      assert.equal(await hint.textContent(), '')
      await press(true)
      await page.focus('#password')
      await page.focus('#identifier')
      assert.equal(await hint.textContent(), '', 'gone with the focus')
    } finally {
      await who.close()
    }
  })

  test('the way used last is marked, in that browser only', async () => {
    const who = await visitor(browser)
    const { page } = who
    const person = somebody()
    try {
      await page.goto(`${provider.issuer}/signup`)
      await signUp(page, person)
      await page.goto(`${provider.issuer}/logout`)
      await page.click(button('answer', 'leave'))
      await page.goto(`${provider.issuer}/login`)
      assert.equal(await page.locator('.tag.last').count(), 0, 'nobody has signed in here yet')
      await logIn(page, person)
      await page.waitForSelector('nav')
      await page.goto(`${provider.issuer}/logout`)
      await page.click(button('answer', 'leave'))
      await page.goto(`${provider.issuer}/login`)
      assert.equal(await page.locator(`${primary} .tag.last`).count(), 1)
      assert.equal(await page.locator('.tag.last').count(), 1)
      const cookie = (await who.context.cookies()).find((one) => one.name.endsWith('signet_last'))
      assert.equal(cookie.value, 'pwd', 'the cookie says how, not who')
      assert.ok(cookie.httpOnly)
      const other = await visitor(browser)
      await other.page.goto(`${provider.issuer}/login`)
      assert.equal(await other.page.locator('.tag.last').count(), 0)
      await other.close()
      assertQuiet(who)
    } finally {
      await who.close()
    }
  })

  test('what was saved is announced', async () => {
    const who = await visitor(browser)
    const { page } = who
    const person = somebody()
    try {
      await page.goto(`${provider.issuer}/signup`)
      await signUp(page, person)
      await page.goto(`${provider.issuer}/account/username`)
      await page.fill('#username', `u${Date.now()}`)
      await page.click(primary)
      await page.waitForSelector('.saved')
      await page.waitForFunction(() => document.querySelector('#live').textContent === document.querySelector('.saved').textContent)
      await page.goto(`${provider.issuer}/logout`)
      await page.click(button('answer', 'leave'))
      await page.goto(`${provider.issuer}/login`)
      await logIn(page, person)
      await page.waitForSelector('nav')
      assertQuiet(who)
    } finally {
      await who.close()
    }
  })
})
