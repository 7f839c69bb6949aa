// Everything here is a comfort: each page is complete without it. What pages ask for:
//   data-show on a password's frame         a button that shows and hides it; a hint on Caps Lock
//   data-check, data-min on a field         a word when it is left with what will not do
//   data-copy="id"                          a button in this element that copies the text of another
//   data-print                              a button in this element that prints the page
//   data-download on a form                 its answer is a file, the page stays
//   time[datetime]                          written in the person's own zone
//   data-onward on a link                   followed once the page's frames have loaded, or so many ms have passed
const all = (selector) => document.querySelectorAll(selector);
const live = document.querySelector("#live");

// Says something to people who do not see it happen (WCAG 4.1.3).
const say = (text) => {
  live.textContent = "";
  setTimeout(() => { live.textContent = text; }, 100);
};
const made = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text });

// Show and hide a password. The button is made here, so it is absent without script.
for (const box of all("[data-show]")) {
  const input = box.querySelector("input");
  const button = made("button", "reveal", "");
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? box.dataset.hideText : box.dataset.showText;
    button.setAttribute("aria-label", shown ? box.dataset.hide : box.dataset.show);
  };
  button.type = "button";
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => set(input.type === "password"));
  input.form.addEventListener("submit", () => set(false)); // browsers save what was a password
  set(false);
  box.append(button);

  const caps = made("p", "caps", "");
  caps.role = "status";
  box.after(caps);
  const look = (event) => {
    const text = event.getModifierState?.("CapsLock") ? box.dataset.caps : "";
    if (caps.textContent !== text) caps.textContent = text;
  };
  input.addEventListener("keydown", look);
  input.addEventListener("keyup", look);
  input.addEventListener("blur", () => { caps.textContent = ""; });
}

// What is required is checked when a field is left, never while somebody types; an empty field
// is not complained about before it is sent. The server checks everything again.
let pressed = false;
addEventListener("pointerdown", () => { pressed = true; }, true);
addEventListener("pointerup", () => { pressed = false; }, true);
addEventListener("pointercancel", () => { pressed = false; }, true);
for (const input of all("[data-check]")) {
  const field = input.closest(".field");
  const described = input.getAttribute("aria-describedby") ?? "";
  const note = made("p", "error", input.dataset.check);
  note.id = `${input.id}-check`;
  note.role = "status";
  const check = () => {
    const least = Number(input.dataset.min ?? 0);
    const good = input.value === "" || (input.validity.valid && [...input.value].length >= least);
    if (good !== note.isConnected || field.querySelector(`#${input.id}-error`)) return;
    if (good) {
      note.remove();
      input.removeAttribute("aria-invalid");
      input.setAttribute("aria-describedby", described);
    } else {
      (input.closest(".with-reveal") ?? input).before(note);
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", `${described} ${note.id}`.trim());
    }
  };
  // A press on the button below leaves the field, too: what it aims at must not move away.
  input.addEventListener("blur", () => {
    if (pressed) addEventListener("pointerup", () => setTimeout(check), { once: true });
    else check();
  });
}

// Copy and print.
for (const box of all("[data-copy]:not(#live)")) {
  if (!navigator.clipboard) break;
  const button = made("button", "small", live.dataset.copy);
  button.type = "button";
  button.addEventListener("click", async () => {
    const from = document.getElementById(box.dataset.copy);
    const items = [...from.querySelectorAll("li")];
    const text = items.length ? items.map((li) => li.textContent.trim()).join("\n") : from.textContent.trim();
    await navigator.clipboard.writeText(text);
    button.textContent = live.dataset.copied;
    say(live.dataset.copied);
    setTimeout(() => { button.textContent = live.dataset.copy; }, 3000);
  });
  box.prepend(button);
}
for (const box of all("[data-print]:not(#live)")) {
  const button = made("button", "small", live.dataset.print);
  button.type = "button";
  button.addEventListener("click", () => print());
  box.append(button);
}

// One attempt per press: a second submit while the first is under way is dropped. Nothing is
// disabled, so the button keeps its focus and its name.
for (const form of all("form[method=post]:not([data-download])")) {
  form.addEventListener("submit", (event) => {
    if (form.ariaBusy === "true") event.preventDefault();
    form.ariaBusy = "true";
  });
}
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of all("form")) form.ariaBusy = null;
});

// Times are written in UTC; show them in the person's zone.
for (const time of all("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!isNaN(at)) time.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

// What was saved stood on the page before a screen reader listened.
const saved = document.querySelector(".saved");
if (saved) say(saved.textContent);

document.querySelector(".summary[autofocus]")?.focus();

// The window has loaded when its frames have; one that does not answer must not hold anybody up.
const onward = document.querySelector("a[data-onward]");
if (onward) {
  const go = () => location.replace(onward.href);
  if (document.readyState === "complete") go();
  else addEventListener("load", go);
  setTimeout(go, Number(onward.dataset.onward));
}
