// Every page in every state that the page tests know, as the server renders it, in both languages,
// both colour schemes, at 320 and 1280 px. The journeys of the other files come to most of them;
// here are the rest, too: limits, empty lists, full ones, faults.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { extname, join } from 'node:path'
import { folder, root, run } from '../lib/processes.mjs'
import { launch, visitor, inspect, assertQuiet, wanted } from '../lib/browser.mjs'

const variants = wanted
  ? [['light', 1280], ['light', 320], ['dark', 1280], ['dark', 320]]
  : [['light', 1280], ['dark', 320]]

const kinds = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript' }
const dir = folder('samples')
await run('go', ['test', './internal/server/pages', '-run', '^TestSamples_Written$', '-count=1', '-vet=off'], {
  cwd: root, env: { ...process.env, SIGNET_SAMPLES: dir.path }
})
const names = readdirSync(dir.path).filter((name) => name.endsWith('.html')).map((name) => name.replace('.html', ''))

let browser, server, origin
before(async () => {
  browser = await launch()
  server = createServer((req, res) => {
    const file = decodeURIComponent(new URL(req.url, 'http://localhost').pathname).split('/').pop()
    try {
      res.setHeader('Content-Type', kinds[extname(file)] ?? 'text/plain')
      res.end(readFileSync(join(dir.path, file)))
    } catch {
      // Where a page leads by itself, while it is being looked at, it stays (RFC 9110 §15.3.5).
      res.writeHead(req.headers['sec-fetch-dest'] === 'document' ? 204 : 404).end()
    }
  }).listen(0, 'localhost')
  await once(server, 'listening')
  origin = `http://localhost:${server.address().port}`
})
after(async () => {
  await browser?.close()
  server?.close()
  server?.closeAllConnections()
  dir.remove()
})

test('there are samples of every language', () => {
  assert.ok(names.length > 60, `${names.length} samples`)
  assert.equal(names.filter((name) => name.endsWith('.en')).length, names.filter((name) => name.endsWith('.ko')).length)
})

// One page per language, both at once.
describe('samples', { concurrency: true }, () => {
  for (const lang of ['en', 'ko']) {
    describe(lang, { concurrency: 1 }, () => {
      let who
      before(async () => { who = await visitor(browser, { lang, expected: [404] }) })
      after(() => who?.close())

      for (const name of names.filter((one) => one.endsWith(`.${lang}`) && !one.startsWith('formpost'))) {
        test(name, async () => {
          const { page, complaints } = who
          complaints.length = 0
          await page.goto(`${origin}/${name}.html`)
          for (const [scheme, width] of variants) {
            await page.emulateMedia({ colorScheme: scheme })
            await page.setViewportSize({ width, height: width < 500 ? 640 : 800 })
            await inspect({ ...who, scheme, width }, `sample-${name.replace(`.${lang}`, '')}`)
          }
          assertQuiet(who)
        })
      }
    })
  }
})
