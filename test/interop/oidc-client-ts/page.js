/* global oidc */
// What the page does with the library; the test calls these from outside.
globalThis.signedOut = false

globalThis.manage = ({ bound, ...settings }) => {
  globalThis.manager = new oidc.UserManager({
    redirect_uri: `${location.origin}/callback`,
    silent_redirect_uri: `${location.origin}/silent`,
    automaticSilentRenew: false,
    userStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
    ...(bound && { dpop: { store: new oidc.IndexedDbDPoPStore(), bind_authorization_code: true } }),
    ...settings
  })
  globalThis.manager.events.addUserSignedOut(() => { globalThis.signedOut = true })
}

globalThis.plain = (user) => user && JSON.parse(JSON.stringify({ ...user, token_type: user.token_type, session_state: user.session_state }))

// In the hidden frame: the answer is handed to the page around it.
if (location.pathname === '/silent') {
  globalThis.manage({ authority: 'unused', client_id: 'unused' })
  globalThis.manager.signinSilentCallback()
}
