// What all flows of openid-client have in common.
import assert from 'node:assert/strict'
import * as oidc from 'openid-client'
import { callback, secret } from '../rig.mjs'
import { email, name } from '../people.mjs'

export const scope = 'openid profile email offline_access'

export async function party (rig) {
  const { issuer } = rig
  const key = await crypto.subtle.importKey('jwk', { ...rig.keys.sig.private, use: undefined }, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const signing = { key, kid: rig.keys.sig.private.kid }
  // http, since this is all on one machine.
  const discover = (id, auth = oidc.ClientSecretBasic(secret), metadata, extra = []) =>
    oidc.discovery(new URL(issuer), id, metadata, auth, { execute: [oidc.allowInsecureRequests, ...extra] })

  /** What a request and the check of its answer have in common. */
  async function request (more = {}) {
    const verifier = oidc.randomPKCECodeVerifier()
    const state = oidc.randomState()
    const nonce = oidc.randomNonce()
    return {
      parameters: {
        redirect_uri: callback, scope, state, nonce, code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more
      },
      checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
    }
  }

  /** The whole flow; `build` makes the address that the browser is sent to. */
  async function signIn (config, { more, build = oidc.buildAuthorizationUrl, options, person = rig.person() } = {}) {
    const { parameters, checks } = await request(more)
    const landed = await person.enter(await build(config, parameters))
    const answer = person.posted
      ? new Request(landed, { method: 'POST', body: new URLSearchParams(person.posted) })
      : landed
    const tokens = await oidc.authorizationCodeGrant(config, answer, checks, undefined, options)
    assert.equal(tokens.claims().iss, issuer)
    return { tokens, person, landed }
  }

  async function knows (config, tokens, options) {
    const info = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, options)
    assert.equal(info.email, email)
    assert.equal(info.name, name)
  }

  return { signing, discover, request, signIn, knows }
}
