// An authenticator app: codes from a key (RFC 6238, six digits, half a minute, SHA-1).
import { createHmac } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

function decode (key) {
  let bits = ''
  for (const c of key.replace(/[\s=]/g, '').toUpperCase()) bits += alphabet.indexOf(c).toString(2).padStart(5, '0')
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
}

/** The code of a time step. */
export function codeAt (key, step) {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', decode(key)).update(counter).digest()
  const at = mac[19] & 15
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

const step = () => Math.floor(Date.now() / 30_000)

/** An app with one key, which never shows a code twice: a used one would be refused as a replay. */
export class App {
  constructor (key) {
    this.key = key
    this.last = 0
  }

  /** Whether there is a code without waiting. */
  get ready () { return step() + 1 > this.last }

  async code () {
    // The next step's code is accepted already, so one wait of half a minute serves two codes.
    while (step() + 1 <= this.last) await pause(250)
    this.last = Math.max(this.last + 1, step())
    return codeAt(this.key, this.last)
  }
}
