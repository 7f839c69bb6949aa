// An authenticator in Chromium that needs no hardware and no hand (WebDriver's virtual
// authenticator, over the debugging protocol).
import assert from 'node:assert/strict'

/**
 * Puts one into the browser of a page. It answers every request at once, those from the autofill of a
 * field as well, unless `answers` is false: then requests wait, as for a person who does not touch it.
 */
export async function authenticator (page, { answers = true, verified = true, transport = 'internal', synced = false } = {}) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', ctap2Version: 'ctap2_1', transport, hasResidentKey: true, hasUserVerification: true,
      isUserVerified: verified, automaticPresenceSimulation: answers, defaultBackupEligibility: synced, defaultBackupState: synced
    }
  })
  await page.addInitScript(() => {
    try {
      if (sessionStorage.getItem('autofill') === 'off') PublicKeyCredential.isConditionalMediationAvailable = async () => false
    } catch {} // no page of a site
  })
  const send = (what, more) => cdp.send(`WebAuthn.${what}`, { authenticatorId, ...more })
  return {
    /** Whether pages that are opened from now on may ask from the autofill; now is one of the site's. */
    autofill: (on) => page.evaluate((on) => sessionStorage.setItem('autofill', on ? 'on' : 'off'), on),
    /** Whether it answers by itself. */
    answering: (enabled) => send('setAutomaticPresenceSimulation', { enabled }),
    /** Whether it recognises its user. */
    recognising: (isUserVerified) => send('setUserVerified', { isUserVerified }),
    keys: async () => (await send('getCredentials')).credentials,
    put: (credential) => send('addCredential', { credential }),
    drop: (credentialId) => send('removeCredential', { credentialId }),

    /** Waits until it holds that many keys. */
    async holds (count) {
      let keys
      for (let i = 0; i < 50; i++) {
        keys = (await send('getCredentials')).credentials
        if (keys.length === count) return keys
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      assert.equal(keys.length, count, 'keys on the authenticator')
    }
  }
}
