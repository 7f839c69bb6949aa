// Chromium, and what every page must keep: an empty console, no violation of the content
// security policy, nothing that axe-core finds.
import { chromium } from 'playwright-core'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { root } from './processes.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = join(root, 'test/artifacts')

/** Pictures of pages are for people who look at them, no test does: with SIGNET_PICTURES=1. */
export const wanted = Boolean(process.env.SIGNET_PICTURES)

/** Starts Chromium; the caller closes it. */
export async function launch () {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'
    ]
  })
  console.log(`Chromium ${browser.version()}`)
  return browser
}

/**
 * A person's browser: a context with a page, which collects everything that goes wrong.
 * `expected` holds the statuses that this journey means to see (the console reports each).
 */
export async function visitor (browser, { lang = 'en', js = true, scheme = 'light', width = 1280, expected = [], anyCertificate = false } = {}) {
  const options = {
    javaScriptEnabled: js,
    locale: lang === 'ko' ? 'ko-KR' : 'en-US',
    colorScheme: scheme,
    viewport: { width, height: width < 500 ? 640 : 800 },
    reducedMotion: 'reduce',
    ignoreHTTPSErrors: anyCertificate
  }
  const context = await browser.newContext(options)
  context.setDefaultTimeout(15_000)
  const complaints = []
  const watch = (page) => {
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return
      const status = /status of (\d+)/.exec(message.text())?.[1]
      if (status && expected.includes(Number(status))) return
      complaints.push(`console at ${message.location().url}: ${message.text()}`)
    })
    page.on('pageerror', (err) => complaints.push(`script at ${page.url()}: ${err.message}`))
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText
      if (why !== 'net::ERR_ABORTED') complaints.push(`request for ${request.url()}: ${why}`)
    })
  }
  context.on('page', watch)
  const page = await context.newPage()
  return { context, page, options, lang, js, scheme, width, complaints, close: () => context.close() }
}

/**
 * Runs a visit and closes it. What fails is told with the address and the words of the page, and
 * leaves a picture.
 */
export async function visit (browser, options, run) {
  const who = await visitor(browser, options)
  try {
    await run(who)
    assertQuiet(who)
  } catch (err) {
    throw await told(err, who.page)
  } finally {
    await who.close()
  }
}

/** An error that tells where the page stood. */
export async function told (err, page) {
  if (page.isClosed()) return err
  const words = await page.textContent('main').catch(() => '')
  await picture(page, `failed-${Date.now()}`).catch(() => {})
  return new Error(`at ${page.url()}: ${words.replace(/\s+/g, ' ').trim().slice(0, 300)}`, { cause: err })
}

/** Fails with everything that the visitor's pages complained about. */
export function assertQuiet (visitor) {
  assert.deepEqual(visitor.complaints, [], 'the console must stay empty')
}

/** Fails on any axe-core violation: WCAG 2.2 A and AA, and best practices. */
export async function assertAccessible (page, where) {
  // Evaluated over the debugging protocol, which the page's policy does not concern.
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    resultTypes: ['violations']
  }))
  const found = violations.map((v) => `${v.id} (${v.help}): ${v.nodes.map((n) => `${n.html} ${n.any?.[0]?.message ?? ''}`).join(' | ')}`)
  assert.deepEqual(found, [], `axe-core at ${where} (${page.url()})`)
}

/**
 * The page of a visitor whose script is off, as a page that axe-core can run in: the same
 * document at the same address, with its own scripts left out.
 */
async function readable (visitor, look) {
  if (visitor.js) return look(visitor.page)
  const { page } = visitor
  const html = await page.content()
  const context = await page.context().browser().newContext({ ...visitor.options, javaScriptEnabled: true })
  try {
    await context.route('**/*', (route) => {
      const request = route.request()
      if (request.isNavigationRequest()) return route.fulfill({ body: html, contentType: 'text/html; charset=utf-8' })
      return request.resourceType() === 'script' ? route.abort() : route.continue()
    })
    const twin = await context.newPage()
    await twin.goto(page.url())
    await look(twin)
  } finally {
    await context.close()
  }
}

/** Fails on what axe does not look at: sideways scrolling, small targets, headings, language. */
export async function assertFits (page, where, lang) {
  const facts = await page.evaluate(() => {
    const visible = (el) => el.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    const inText = (el) => el.tagName === 'A' && getComputedStyle(el).display === 'inline'
    return {
      lang: document.documentElement.lang,
      title: document.title,
      headings: document.querySelectorAll('h1').length,
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      small: [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')]
        .filter((el) => visible(el) && !inText(el))
        .map((el) => {
          // A control inside its label is as large as the label (WCAG 2.5.8).
          const target = ['checkbox', 'radio'].includes(el.type) ? el.closest('label') ?? el : el
          const { width, height } = target.getBoundingClientRect()
          return { html: el.outerHTML.slice(0, 120), width, height }
        })
        .filter((box) => box.width > 1 && (box.width < 24 || box.height < 24)) // 1 px: skip links until focused
        .map((box) => `${box.html} ${Math.round(box.width)}×${Math.round(box.height)}`)
    }
  })
  assert.equal(facts.lang, lang, `language of ${where}`)
  assert.notEqual(facts.title, '', `title of ${where}`)
  assert.equal(facts.headings, 1, `h1 of ${where}`)
  assert.ok(facts.overflow <= 0, `${where} scrolls sideways by ${facts.overflow} px`)
  assert.deepEqual(facts.small, [], `targets under 24 × 24 px at ${where}`)
}

/** Writes a picture of the whole page to test/artifacts. */
export async function picture (page, name) {
  mkdirSync(pictures, { recursive: true })
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
}

/**
 * All of the above for the page as it stands. Light at the full width and dark at 320 px are
 * looked at by axe-core: each scheme and each width once, since colours do not depend on the
 * width nor boxes on the colours. Every variant gets its picture where pictures are wanted.
 */
export async function inspect (visitor, where) {
  const { page, lang, js, scheme, width } = visitor
  if ((scheme === 'light') === (width > 320)) {
    await readable({ ...visitor, options: { ...visitor.options, colorScheme: scheme, viewport: page.viewportSize() } }, async (readable) => {
      await assertAccessible(readable, where)
      await assertFits(readable, where, lang)
    })
  }
  if (wanted) await picture(page, `${where}.${lang}.${scheme}.${width}${js ? '' : '.nojs'}`)
}
