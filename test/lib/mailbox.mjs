// The mailbox of a provider in development: what it would have sent.
import { until } from './processes.mjs'

/** The mailbox of a provider started by startDev. */
export function mailbox (provider) {
  const list = async (address) => {
    const answer = await fetch(`${provider.issuer}/dev/mailbox.json?to=${encodeURIComponent(address)}`)
    if (!answer.ok) throw new Error(`/dev/mailbox.json answers ${answer.status}: is this signet dev with its mailbox?`)
    return (await answer.json()).reverse()
  }
  return {
    /** The mails to somebody so far, oldest first. */
    list,

    /** Waits for a mail to somebody that came after `since` others to them, of one kind if named. */
    async to (address, { since = 0, subject = /./, kind } = {}) {
      return until(`mail to ${address} (${kind ?? subject})`, async () =>
        (await list(address)).filter((m) => subject.test(m.subject) && (!kind || m.kind === kind))[since])
    }
  }
}

export { codeOf, linkOf } from './smtp.mjs'
