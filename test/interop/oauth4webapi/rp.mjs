// The steps that all flows of oauth4webapi have in common.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { audience, callback, secret } from '../rig.mjs'
import { email, name } from '../people.mjs'

export const scope = 'openid profile email offline_access'

export async function party (rig) {
  const issuer = new URL(rig.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
  const key = await crypto.subtle.importKey('jwk', { ...rig.keys.sig.private, use: undefined }, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const signing = { key, kid: rig.keys.sig.private.kid }
  const basic = oauth.ClientSecretBasic(secret)
  const byKey = oauth.PrivateKeyJwt(signing)

  async function request (client, more = {}) {
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const nonce = oauth.generateRandomNonce()
    const parameters = new URLSearchParams({
      client_id: client.client_id, response_type: 'code', redirect_uri: callback, scope, state, nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more
    })
    return { parameters, verifier, state, nonce }
  }

  const address = (parameters) => {
    const url = new URL(as.authorization_endpoint)
    url.search = new URLSearchParams(parameters)
    return url
  }

  /** A request may be answered with the demand for a nonce, once (RFC 9449 §8). */
  async function again (run) {
    try {
      return await run()
    } catch (err) {
      if (!oauth.isDPoPNonceError(err)) throw err
      return run()
    }
  }

  async function push (client, auth, parameters, options) {
    const { request_uri: place } = await again(async () => oauth.processPushedAuthorizationResponse(as, client,
      await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options)))
    return address({ client_id: client.client_id, request_uri: place })
  }

  const signed = async (client, parameters) => ({ client_id: client.client_id, request: await oauth.issueRequestObject(as, client, parameters, signing) })

  /** The whole flow; `build` makes the address, `read` checks the answer. */
  async function signIn (client, auth, { more, options, build = (asked) => address(asked.parameters), read } = {}) {
    const asked = await request(client, more)
    const person = rig.person()
    const landed = await person.enter(await build(asked))
    const answer = await (read?.(landed, asked) ?? oauth.validateAuthResponse(as, client, landed, asked.state))
    const tokens = await again(async () => oauth.processAuthorizationCodeResponse(as, client,
      await oauth.authorizationCodeGrantRequest(as, client, auth, answer, asked.parameters.get('redirect_uri'), asked.verifier, options),
      { expectedNonce: asked.nonce, requireIdToken: true }))
    return { tokens, person, claims: oauth.getValidatedIdTokenClaims(tokens) }
  }

  async function knows (client, { tokens, claims }, options) {
    const info = await again(async () => oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token, options)))
    assert.equal(info.email, email)
    assert.equal(info.name, name)
  }

  const machine = async (client, auth, options, parameters = { scope: 'orders.read', resource: audience }) => again(async () =>
    oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, options)))

  const proofs = async (client, alg = 'ES256') => ({ DPoP: oauth.DPoP(client, await oauth.generateKeyPair(alg)) })

  return { as, signing, basic, byKey, address, again, push, signed, signIn, knows, machine, proofs }
}
