// The pages, as steps. Fields and buttons are found by name, which is the same in every
// language; what a label says is for axe-core and for the pictures.
import { randomBytes } from 'node:crypto'
import { password } from './signet.mjs'
import { until } from './processes.mjs'

export const button = (name, value) => `button[name="${name}"][value="${value}"]`
export const primary = 'main button.primary'
export const language = (tag) => button('locale', tag)

/** Somebody who has no account yet. */
export function somebody (name = 'Mina Park') {
  return { name, email: `p${randomBytes(5).toString('hex')}@example.com`, password }
}

export async function fillLogin (page, person) {
  await page.fill('#identifier', person.email)
  await page.fill('#password', person.password)
}

export async function logIn (page, person) {
  await fillLogin(page, person)
  await page.click(primary)
}

export async function fillSignUp (page, person) {
  await page.fill('#name', person.name)
  if (person.username) await page.fill('#username', person.username)
  await page.fill('#email', person.email)
  await page.fill('#password', person.password)
}

/** The newest mail to somebody in the mailbox of a provider in development mode. */
export async function newestMail (origin, address, subject = /./) {
  return until(`mail to ${address} (${subject})`, async () => {
    const answer = await fetch(`${origin}/dev/mailbox.json?to=${encodeURIComponent(address)}`)
    return (await answer.json()).find((mail) => subject.test(mail.subject))
  })
}

export const codeIn = (mail) => /\b\d{4}[ -]?\d{4}\b/.exec(mail.subject)[0].replace(/\D/g, '')

/** From the page that waits for the code of a mail, on with the code. */
export async function enterMailedCode (page, address) {
  await page.fill('#code', codeIn(await newestMail(new URL(page.url()).origin, address)))
  await page.click(primary)
  await page.waitForSelector('#code', { state: 'detached' })
}

/** Signs up, and verifies the address where the provider asks for that. */
export async function signUp (page, person) {
  await fillSignUp(page, person)
  await page.click(primary)
  await page.waitForURL((url) => !url.pathname.endsWith('/signup'))
  if (page.url().endsWith('/verify')) await enterMailedCode(page, person.email)
}

export const allow = (page) => page.click(button('answer', 'allow'))
export const deny = (page) => page.click(button('answer', 'deny'))

/** From the login page to the sign-up page. */
export const toSignUp = (page) => page.click('main a[href*="signup"]')

/** The built-in sample application. */
export const sample = {
  signIn: (page) => page.click(button('action', 'sign-in')),

  /** What it shows after a login: the decoded, verified tokens and userinfo. */
  async tokens (page) {
    await page.waitForSelector('#id-token')
    const read = async (id) => JSON.parse(await page.textContent(`#${id}`))
    return { id: await read('id-token'), access: await read('access-token'), userinfo: await read('userinfo') }
  },

  refresh: (page) => page.click(button('action', 'refresh')),

  async logOut (page) {
    await page.click(button('action', 'log-out'))
    await page.waitForSelector(button('action', 'sign-in'))
  }
}
