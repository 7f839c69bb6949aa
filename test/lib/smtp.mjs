// A mail server that takes everything and keeps it, for providers that are not in development
// mode. It speaks as much SMTP as one client needs (RFC 5321), without TLS: it is on this machine.
import { createServer } from 'node:net'
import { once } from 'node:events'
import { until } from './processes.mjs'

const words = (value) => value.replace(/\r\n[ \t]+/g, ' ').replace(/\?=\s+=\?/g, '?==?')
  .replace(/=\?utf-8\?([qb])\?([^?]*)\?=/gi, (_, how, text) => how.toLowerCase() === 'b'
    ? Buffer.from(text, 'base64').toString()
    : quoted(text.replaceAll('_', ' ')))
const quoted = (text) => Buffer.from(text.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1').toString()

/** One part of a message: its headers by lower-case name, and its text. */
function part (raw) {
  const cut = raw.indexOf('\r\n\r\n')
  const headers = Object.fromEntries([...raw.slice(0, cut).matchAll(/^([\w-]+):[ \t]*((?:.*)(?:\r\n[ \t].*)*)/gm)].map(([, name, value]) => [name.toLowerCase(), words(value)]))
  const body = raw.slice(cut + 4)
  switch (headers['content-transfer-encoding']?.toLowerCase()) {
    case 'base64': return { headers, text: Buffer.from(body, 'base64').toString() }
    case 'quoted-printable': return { headers, text: quoted(body) }
  }
  return { headers, text: body }
}

function parse (raw, to) {
  const whole = part(raw)
  const boundary = /boundary="?([^";]+)"?/.exec(whole.headers['content-type'] ?? '')?.[1]
  const parts = boundary ? raw.split(`--${boundary}`).slice(1, -1).map((one) => part(one.replace(/^\r\n/, ''))) : [whole]
  const of = (kind) => parts.find((one) => one.headers['content-type']?.startsWith(kind))?.text.replaceAll('\r\n', '\n') ?? ''
  return { to, subject: whole.headers.subject, headers: whole.headers, text: of('text/plain'), html: of('text/html') }
}

/** Starts the server; `mails` is what has arrived. */
export async function mailServer () {
  const mails = []
  const server = createServer((socket) => {
    let buffer = ''
    let data = false
    let to = []
    const say = (line) => socket.write(line + '\r\n')
    socket.setEncoding('latin1')
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      buffer += chunk
      for (;;) {
        const end = buffer.indexOf(data ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const line = buffer.slice(0, end)
        buffer = buffer.slice(end + (data ? 5 : 2))
        if (data) {
          const raw = Buffer.from(line.replace(/^\.\./gm, '.'), 'latin1').toString()
          for (const one of to) mails.push(parse(raw, one))
          data = false
          say('250 kept')
          continue
        }
        const verb = line.slice(0, 4).toUpperCase()
        if (verb === 'RCPT') to.push(/<([^>]*)>/.exec(line)[1])
        if (verb === 'MAIL') to = []
        if (verb === 'DATA') {
          data = true
          say('354 go on')
        } else if (verb === 'EHLO') {
          say('250-localhost\r\n250 8BITMIME')
        } else if (verb === 'QUIT') {
          say('221 bye')
          socket.end()
        } else {
          say('250 ok')
        }
      }
    })
    say('220 localhost ESMTP')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    mails,
    /** Lines of configuration for a provider that uses this server. */
    config: ['mail:', '  from: Signet <no-reply@example.com>', '  smtp:', '    host: 127.0.0.1', `    port: ${server.address().port}`, '    tls: none'].join('\n'),

    /** Waits for a mail to somebody that came after `since` others to them. */
    async to (address, { since = 0, subject = /./ } = {}) {
      return until(`mail to ${address} (${subject})`, () => mails.filter((m) => m.to === address && subject.test(m.subject))[since])
    },
    close () { server.close() }
  }
}

/** The code of a mail: it stands in the subject, eight digits. */
export const codeOf = (mail) => /\d{4}[ -]?\d{4}/.exec(mail.subject)?.[0] ?? /^\s*(\d{4}[ -]?\d{4})\s*$/m.exec(mail.text)?.[1]

/** The first link of ours in a mail. */
export const linkOf = (mail, issuer) => new RegExp(`${issuer.replaceAll('.', '\\.')}/\\S+`).exec(mail.text)?.[0]
