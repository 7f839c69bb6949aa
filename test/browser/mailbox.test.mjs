// Mails as people read them, in the mailbox of development.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../lib/processes.mjs'
import { startDev } from '../lib/signet.mjs'
import { mailbox, linkOf } from '../lib/mailbox.mjs'
import { assertAccessible, inspect, launch, visitor } from '../lib/browser.mjs'

/** A mail with a code, a button, facts and small print, as the templates make it. */
const withAllParts = readFileSync(join(root, 'internal/platform/mail/testdata/en/reset.html'), 'utf8')

let browser, provider, mails

before(async () => {
  browser = await launch()
  provider = await startDev()
  const box = mailbox(provider)
  mails = {}
  for (const lang of ['en', 'ko']) {
    await provider.cli('user', 'invite', `${lang}@example.com`, '--send', '--locale', lang)
    mails[lang] = await box.to(`${lang}@example.com`, { kind: 'invitation' })
  }
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

for (const lang of ['en', 'ko']) {
  for (const scheme of ['light', 'dark']) {
    for (const width of [320, 1280]) {
      test(`the mailbox and a mail: ${lang}, ${scheme}, ${width} px`, async () => {
        const who = await visitor(browser, { lang, scheme, width })
        try {
          await who.page.goto(`${provider.issuer}/dev/mailbox`)
          await inspect(who, `mailbox-${lang}-${scheme}-${width}`)
          await who.page.click(`main a[href$="${mails[lang].id}"]`)
          await inspect(who, `mailbox-mail-${lang}-${scheme}-${width}`)
        } finally {
          await who.close()
        }
      })
    }

    test(`the HTML of a mail fetches nothing and can be read: ${lang}, ${scheme}`, async () => {
      const who = await visitor(browser, { lang, scheme, width: 375 })
      try {
        const requests = []
        who.page.on('request', (request) => requests.push(request.url()))
        await who.page.goto(`${provider.issuer}/dev/mailbox/${mails[lang].id}/html`)
        await who.page.waitForLoadState('networkidle')
        assert.deepEqual(requests.filter((url) => !url.endsWith('/favicon.ico')), [who.page.url()])
        // The document runs no script, not even axe-core's: a copy of it does.
        for (const html of [mails[lang].html, withAllParts]) {
          await who.page.goto('about:blank')
          await who.page.setContent(html.replace(/(<body[^>]*>)/, '$1<main>').replace('</body>', '</main></body>'))
          await assertAccessible(who.page, `a mail in ${lang}, ${scheme}`)
          const overflow = await who.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
          assert.ok(overflow <= 0, `the mail scrolls sideways by ${overflow} px`)
        }
      } finally {
        await who.close()
      }
    })
  }
}

test('a link in a mail leads to us, from a document that is nobody\'s', async () => {
  const who = await visitor(browser)
  try {
    const { page } = who
    await page.goto(`${provider.issuer}/dev/mailbox/${mails.en.id}/html`)
    assert.ok(linkOf(mails.en, provider.issuer))
    const arrived = page.waitForResponse((answer) => answer.url() === linkOf(mails.en, provider.issuer))
    await page.locator('a').first().click()
    assert.ok((await arrived).status() < 400)
    await page.waitForURL(`${provider.issuer}/**`)
    assert.deepEqual(who.complaints, [])
  } finally {
    await who.close()
  }
})
