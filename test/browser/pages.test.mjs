// Every page and every error state, in both languages, both colour schemes, at 320 and 1280 px:
// nothing for axe-core to find, no sideways scrolling, no small target, and, with SIGNET_PICTURES=1, a picture of each.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDev } from '../lib/signet.mjs'
import { authorizeUrl, landing } from '../lib/landing.mjs'
import { launch, visitor, inspect, assertQuiet } from '../lib/browser.mjs'
import { allow, button, logIn, primary, somebody, fillLogin, fillSignUp } from '../lib/pages.mjs'

let browser, provider, place, client, ours
const people = { en: somebody('Robin Long-Surname-Of-Many-Parts'), ko: somebody('박민아') }

before(async () => {
  browser = await launch()
  provider = await startDev()
  place = await landing()
  client = await provider.client('--kind', 'web', '--name', 'Reading Room', '--redirect-uri', place.callback,
    '--post-logout-redirect-uri', `${place.url}/bye`, '--scope', 'openid profile email phone address offline_access')
  ours = await provider.client('--kind', 'web', '--name', 'First party', '--redirect-uri', place.callback, '--first-party')
  const file = join(provider.dir.path, 'people.jsonl')
  writeFileSync(file, Object.values(people).map((p) => JSON.stringify({ email: p.email, name: p.name, password: p.password })).join('\n') + '\n')
  await provider.cli('user', 'import', file)
})
after(async () => {
  await browser?.close()
  place?.close()
  await provider?.close()
})

const ask = (more, of = client) => authorizeUrl(provider, of, place, more)
const at = (path) => provider.issuer + path

// Each state: how a person comes to it. Signed out first; `signedIn` states follow on one login.
const signedOut = {
  login: (page) => page.goto(ask()),
  'login-local': (page) => page.goto(at('/login')),
  async 'login-wrong' (page, person) {
    await page.goto(ask())
    await logIn(page, { ...person, password: 'not the password at all' })
    await page.waitForSelector('[role=alert]')
    assert.equal(await page.inputValue('#identifier'), person.email, 'the identifier stays')
    assert.equal(await page.inputValue('#password'), '', 'the password does not')
  },
  async 'login-empty' (page) {
    await page.goto(ask())
    await page.click(primary)
    await page.waitForSelector('[aria-invalid]')
  },
  signup: (page) => page.goto(ask({ prompt: 'create' })),
  async 'signup-empty' (page) {
    await page.goto(at('/signup'))
    await page.click(primary)
    await page.waitForSelector('[role=alert] a')
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'alert', 'the summary has the focus')
    assert.match(await page.title(), /^(Error|오류)/)
  },
  async 'signup-common-password' (page) {
    await page.goto(at('/signup'))
    await fillSignUp(page, { ...somebody(), password: 'passwordpassword' })
    await page.click(primary)
    await page.waitForSelector('#password[aria-invalid=true]')
    assert.notEqual(await page.inputValue('#name'), '', 'what was typed stays')
  },
  async 'signup-taken' (page, person) {
    await page.goto(at('/signup'))
    await fillSignUp(page, person)
    await page.click(primary)
    await page.waitForURL('**/verify') // as for an address that is free: the mail tells its owner
  },
  'error-client': (page) => page.goto(ask({ client_id: 'nobody' })),
  'error-redirect': (page) => page.goto(ask({ redirect_uri: `${place.url}/elsewhere` })),
  'error-not-found': (page) => page.goto(at('/no/such/page')),
  'error-journey': (page) => page.goto(at('/signin/j-that-never-was')),
  'error-logout': (page) => page.goto(at('/oauth2/logout?id_token_hint=nonsense&post_logout_redirect_uri=https%3A%2F%2Fevil.example')),
  'signed-out': (page) => page.goto(at('/logout'))
}

const signedIn = {
  async consent (page, person) {
    await page.goto(ask({ scope: 'openid profile email phone address offline_access', prompt: 'consent' }))
    await logIn(page, person)
    await page.waitForSelector(button('answer', 'allow'))
  },
  async overview (page) {
    await allow(page)
    await page.waitForURL(`${place.url}/**`)
    await page.goto(at('/account'))
  },
  async 'consent-more' (page) {
    await page.goto(ask({ scope: 'openid', prompt: 'consent' }))
    await page.waitForSelector(button('answer', 'allow'))
  },
  select: (page) => page.goto(ask({ prompt: 'select_account' })),
  'login-again': (page) => page.goto(ask({ prompt: 'login' })),
  profile: (page) => page.goto(at('/account/profile')),
  async 'profile-wrong' (page) {
    await page.goto(at('/account/profile'))
    await page.fill('#birthdate', 'yesterday')
    await page.fill('#website', 'nowhere')
    await page.click(primary)
    await page.waitForSelector('#birthdate[aria-invalid=true]')
  },
  async 'profile-saved' (page) {
    await page.goto(at('/account/profile'))
    await page.fill('#nickname', 'Ro')
    await page.click(primary)
    await page.waitForSelector('[role=status]')
    assert.equal(await page.inputValue('#nickname'), 'Ro')
  },
  username: (page) => page.goto(at('/account/username')),
  password: (page) => page.goto(at('/account/password')),
  async 'password-wrong' (page) {
    await page.goto(at('/account/password'))
    await page.fill('#current', 'not the password at all')
    await page.fill('#password', 'short')
    await page.click(primary)
    await page.waitForSelector('[aria-invalid=true]')
  },
  sessions: (page) => page.goto(at('/account/sessions')),
  applications: (page) => page.goto(at('/account/applications')),
  logout: (page) => page.goto(at('/logout'))
}

const mayHave = { heading: [400, 401, 403, 404, 409, 422, 429] } // statuses that these states mean to see

for (const lang of ['en', 'ko']) {
  describe(lang, () => {
    const titles = new Map()

    /** Looks at one state in every variant. */
    async function look (who, name, arrive) {
      await arrive(who.page, people[lang])
      titles.set(name, await who.page.title())
      for (const scheme of ['light', 'dark']) {
        await who.page.emulateMedia({ colorScheme: scheme })
        for (const width of [320, 1280]) {
          await who.page.setViewportSize({ width, height: width < 500 ? 640 : 800 })
          await inspect({ ...who, scheme, width }, name)
        }
      }
    }

    for (const [name, arrive] of Object.entries(signedOut)) {
      test(name, async () => {
        const who = await visitor(browser, { lang, expected: mayHave.heading })
        try {
          await look(who, name, arrive)
          assertQuiet(who)
        } finally {
          await who.close()
        }
      })
    }

    test('signed in', async (t) => {
      const who = await visitor(browser, { lang, expected: mayHave.heading })
      try {
        for (const [name, arrive] of Object.entries(signedIn)) {
          await t.test(name, () => look(who, name, arrive))
        }
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })

    test('form_post and finished, without script', async () => {
      const who = await visitor(browser, { lang, js: false })
      try {
        const { page } = who
        await look(who, 'form-post', async () => {
          await page.goto(ask({ response_mode: 'form_post' }, ours))
          await logIn(page, people[lang])
          await page.waitForSelector('form[data-autosubmit]')
        })
        const arrived = place.answers.length
        await page.click(primary)
        await page.waitForURL(place.callback)
        assert.equal(place.answers.length, arrived + 1)
        assert.ok(place.answers.at(-1).code && place.answers.at(-1).iss === provider.issuer)
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })

    test('titles tell the pages apart', () => {
      const seen = new Map()
      for (const [name, title] of titles) {
        const page = name.split('-')[0] // states of one page may share its title
        if (seen.has(title)) assert.equal(seen.get(title), page, `${name}: “${title}” is also the title of ${seen.get(title)}`)
        seen.set(title, page)
      }
    })

    test('too many attempts', async () => {
      const who = await visitor(browser, { lang, expected: [401, 429] })
      const nobody = somebody()
      try {
        await look(who, 'limited', async (page) => {
          await page.goto(ask())
          for (let n = 0; n < 30; n++) {
            if (!await page.locator('#identifier').count()) return
            await fillLogin(page, { ...nobody, password: `wrong password number ${n}` })
            const [answer] = await Promise.all([
              page.waitForResponse((r) => r.request().method() === 'POST'),
              page.click(primary)
            ])
            await page.waitForLoadState()
            if (answer.status() === 429) {
              assert.ok(Number(answer.headers()['retry-after']) > 0)
              return
            }
          }
          assert.fail('30 wrong passwords for one account were all looked at')
        })
        assertQuiet(who)
      } finally {
        await who.close()
      }
    })
  })
}
