// Everything here is a comfort: each page is complete without it.
const all = (selector) => document.querySelectorAll(selector);

// Show and hide a password. The button is made here, so it is absent without script.
for (const box of all("[data-show]")) {
  const input = box.querySelector("input");
  const button = document.createElement("button");
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? box.dataset.hideText : box.dataset.showText;
    button.setAttribute("aria-label", shown ? box.dataset.hide : box.dataset.show);
  };
  button.type = "button";
  button.className = "reveal";
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => set(input.type === "password"));
  input.form.addEventListener("submit", () => set(false)); // browsers save what was a password
  set(false);
  box.append(button);
}

// One attempt per press: a second submit while the first is under way is dropped. Nothing is
// disabled, so the button keeps its focus and its name.
for (const form of all("form[method=post]")) {
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

document.querySelector(".summary[autofocus]")?.focus();
document.querySelector("form[data-autosubmit]")?.requestSubmit();
