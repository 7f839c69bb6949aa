// Passkeys. Where this does not run (passkey.css), or the browser has none, nothing of it shows. A page has
//   data-passkey="get" or "create"   an element with a form; data-options are for the browser,
//                                    data-fresh the address of newer ones, data-conditional offers
//                                    passkeys in the autofill of a field, data-upgrade are options for
//                                    a passkey that the browser may make by itself
//   data-signal="all" or "unknown"   what password managers should know; data-about is their input
//   data-unable                      text for browsers without passkeys
const api = globalThis.PublicKeyCredential && navigator.credentials ? PublicKeyCredential : null;
const stale = 4 * 60 * 1000; // options are good for five minutes

const bytes = (s) => Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const ids = (list) => list?.map((c) => ({ ...c, id: bytes(c.id) }));

const parsed = (o) => ({
  ...o,
  challenge: bytes(o.challenge),
  ...(o.user && { user: { ...o.user, id: bytes(o.user.id) } }),
  ...(o.allowCredentials && { allowCredentials: ids(o.allowCredentials) }),
  ...(o.excludeCredentials && { excludeCredentials: ids(o.excludeCredentials) }),
});

// Some password managers put an object of their own here, without toJSON.
const answered = ({ id, rawId, type, response: r }) => JSON.stringify({
  id, rawId: text(rawId), type, clientExtensionResults: {},
  response: {
    clientDataJSON: text(r.clientDataJSON),
    ...(r.attestationObject
      ? { attestationObject: text(r.attestationObject), transports: r.getTransports?.() ?? [] }
      : { authenticatorData: text(r.authenticatorData), signature: text(r.signature), ...(r.userHandle && { userHandle: text(r.userHandle) }) }),
  },
});

const setUp = (box) => {
  const { passkey: kind, fresh, failed, exists, upgrade } = box.dataset;
  const form = box.querySelector("form");
  const note = box.querySelector("[role=alert]");
  const main = document.getElementById("main-form");
  let options = JSON.parse(box.dataset.options);
  let since = Date.now();
  let running; // the request that is under way: browsers allow one
  let pressed = false;

  const ask = async (what, more) => {
    running?.abort();
    const control = running = new AbortController();
    const credential = await navigator.credentials[kind]({ publicKey: parsed(what), signal: control.signal, ...more });
    if (control.signal.aborted) return;
    form.elements.answer.value = answered(credential);
    if (form.elements.trust) form.elements.trust.value = main?.elements.trust?.checked ? "1" : "";
    form.requestSubmit();
  };
  const current = async () => {
    if (Date.now() - since > stale) {
      const response = await fetch(fresh, { headers: { accept: "application/json" } });
      if (!response.ok) throw new Error(response.statusText);
      options = await response.json();
      since = Date.now();
    }
    return options;
  };
  const wait = async () => {
    try {
      await ask(await current(), { mediation: "conditional" });
    } catch {} // dismissed, replaced by the button, or the journey is over: the page is still there
  };
  const conditional = async () => {
    if (!("conditional" in box.dataset) || !await api.isConditionalMediationAvailable?.()) return;
    wait();
    setInterval(() => pressed || wait(), stale + 1000);
  };

  // Before the other script's: a press that only asks is not a form under way.
  form.addEventListener("submit", async (event) => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    pressed = true;
    note.hidden = true;
    try {
      await ask(await current());
    } catch (problem) {
      note.textContent = problem.name === "InvalidStateError" ? exists : failed;
      note.hidden = false;
      pressed = false;
      if ("conditional" in box.dataset) wait();
    }
  });
  conditional();

  // The server offers a passkey only to those whose browser can make one.
  if ("conditional" in box.dataset) {
    api.isUserVerifyingPlatformAuthenticatorAvailable?.().then((can) => {
      if (can) main.append(Object.assign(document.createElement("input"), { type: "hidden", name: "can_passkey", value: "1" }));
    });
  }
  if (upgrade) {
    api.getClientCapabilities?.().then((can) => can.conditionalCreate && ask(JSON.parse(upgrade), { mediation: "conditional" })).catch(() => {});
  }
};

const signals = { all: ["signalAllAcceptedCredentials", "signalCurrentUserDetails"], unknown: ["signalUnknownCredential"] };
if (api) {
  for (const box of document.querySelectorAll("[data-passkey]")) setUp(box);
  for (const box of document.querySelectorAll("[data-signal]")) {
    for (const name of signals[box.dataset.signal]) api[name]?.(JSON.parse(box.dataset.about)).catch(() => {});
  }
} else {
  for (const box of document.querySelectorAll("[data-passkey]")) box.hidden = true;
  for (const box of document.querySelectorAll("[data-unable]")) box.dataset.unable = "shown";
}
