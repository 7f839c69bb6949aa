// The pages, as steps. Fields and buttons are found by name, which is the same in every
// language; what a label says is for axe-core and for the pictures.
import { randomBytes } from 'node:crypto'
import { password } from './signet.mjs'

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

export async function signUp (page, person) {
  await fillSignUp(page, person)
  await page.click(primary)
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
