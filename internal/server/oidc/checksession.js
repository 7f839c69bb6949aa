// The OP's side of OIDC Session Management §3.2: an application's page asks from its frame whether
// who is signed in has changed since it got its session_state. The answer is found here, without a
// request, from a cookie that only changes when the sign-in does. Old browsers run this too, so it is
// written for them, and hashes by itself: crypto.subtle is not there on every page that asks.
(function () {
  "use strict";
  var cookie = (location.protocol === "https:" ? "__Host-" : "") + "signet_state";

  // The first fractional 32 bits of the square and cube roots of the primes (FIPS 180-4 §4.2.2, §5.3.3).
  var K = [], H = [];
  for (var n = 2; K.length < 64; n++) {
    var prime = true;
    for (var f = 2; f * f <= n; f++) if (n % f === 0) { prime = false; break; }
    if (!prime) continue;
    if (H.length < 8) H.push(part(Math.pow(n, 1 / 2)));
    K.push(part(Math.pow(n, 1 / 3)));
  }
  function part(x) { return ((x - Math.floor(x)) * 4294967296) | 0; }
  function turn(x, by) { return (x >>> by) | (x << (32 - by)); }

  // SHA-256 of a text of single bytes, in base64url without padding.
  function digest(text) {
    var bytes = [], i, t, bits = text.length * 8;
    for (i = 0; i < text.length; i++) bytes.push(text.charCodeAt(i) & 255);
    bytes.push(128);
    while (bytes.length % 64 !== 56) bytes.push(0);
    bytes.push(0, 0, 0, 0, bits >>> 24 & 255, bits >>> 16 & 255, bits >>> 8 & 255, bits & 255);
    var state = H.slice();
    for (i = 0; i < bytes.length; i += 64) {
      var w = [], s = state.slice();
      for (t = 0; t < 64; t++) {
        if (t < 16) {
          var at = i + 4 * t;
          w[t] = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
        } else {
          var x = w[t - 15], y = w[t - 2];
          w[t] = (w[t - 16] + (turn(x, 7) ^ turn(x, 18) ^ x >>> 3) + w[t - 7] + (turn(y, 17) ^ turn(y, 19) ^ y >>> 10)) | 0;
        }
        var one = (s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + (s[4] & s[5] ^ ~s[4] & s[6]) + K[t] + w[t]) | 0;
        var two = ((turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + (s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2])) | 0;
        s = [(one + two) | 0, s[0], s[1], s[2], (s[3] + one) | 0, s[4], s[5], s[6]];
      }
      for (t = 0; t < 8; t++) state[t] = (state[t] + s[t]) | 0;
    }
    var out = "";
    for (t = 0; t < 8; t++) for (i = 24; i >= 0; i -= 8) out += String.fromCharCode(state[t] >>> i & 255);
    return btoa(out).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function state() {
    var all = document.cookie.split("; ");
    for (var i = 0; i < all.length; i++) if (all[i].indexOf(cookie + "=") === 0) return all[i].slice(cookie.length + 1);
    return "";
  }

  // changed, unchanged, or error for what is no question of ours.
  function judge(data, origin) {
    var question = typeof data === "string" && data.length < 1024 ? data.split(" ") : [];
    var answer = question.length === 2 ? question[1].split(".") : [];
    if (answer.length !== 2 || !question[0] || !answer[0] || !answer[1]) return "error";
    return digest(question[0] + " " + origin + " " + state() + " " + answer[1]) === answer[0] ? "unchanged" : "changed";
  }

  addEventListener("message", function (event) {
    if (!event.source || event.source === window || !event.origin || event.origin === "null") return;
    var result = judge(event.data, event.origin);
    var tell = function (text) { event.source.postMessage(text, event.origin); };
    // Where the browser keeps our cookies from frames of other sites, nobody can know: then an
    // application must not conclude that the person has signed out (§3.1 "error").
    if (result === "changed" && !state() && document.hasStorageAccess) {
      document.hasStorageAccess().then(function (has) { tell(has ? "changed" : "error"); }, function () { tell("error"); });
    } else tell(result);
  }, false);
})();
