// Keys and smoothness for the labelling page. Every action is a form or a link of the page, and works
// without this file; here a key presses it, and the answer replaces the page without a reload.

const POLL_MILLISECONDS = 2000;
const page = document.getElementById("page");
let isBusy = false;
let turn = 0;

const find = (selector) => page.querySelector(selector);
const isTyping = (target) => target.matches("textarea, input:not([type=hidden])");

// The page ------------------------------------------------------------------------------------

// A key that is pressed while an answer is on its way does nothing: it would decide about a row that
// nobody has seen. A quiet refresh stops no key, and gives way to whatever is done meanwhile.
async function load(address, options, isQuiet = false) {
  if (isBusy) return;
  isBusy = !isQuiet;
  const mine = ++turn;
  page.setAttribute("aria-busy", String(isBusy));
  try {
    const response = await fetch(address, options);
    const html = await response.text();
    if (mine !== turn || (isQuiet && !isUntouched())) return;
    show(html, isQuiet);
    const item = find("main[data-item]")?.dataset.item;
    history.replaceState(null, "", item ? addressOf(item) : response.url);
  } catch {
    document.getElementById("gone").hidden = false;
  } finally {
    if (mine === turn) {
      isBusy = false;
      page.removeAttribute("aria-busy");
    }
  }
}

const addressOf = (item) => `/?item=${encodeURIComponent(item)}`;

function show(html, isQuiet) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  if (isQuiet) return refresh(fresh);
  page.replaceChildren(...fresh.getElementById("page").childNodes);
  document.title = fresh.title;
  mark(0, false);
  const wrong = find("textarea[aria-invalid]");
  (wrong ?? find("h1"))?.focus({ preventScroll: !wrong });
  if (!wrong) window.scrollTo(0, 0);
}

// What others did is shown at once. A suggestion that is read already is not changed under the reader.
function refresh(fresh) {
  const held = page.contains(document.activeElement) ? document.activeElement.id : "";
  const { revision } = fresh.querySelector("main").dataset;
  const isRead = find("[data-testid=suggestion]") !== null;
  for (const selector of isRead ? ["header", ".others"] : ["header", "main"]) {
    find(selector).replaceWith(fresh.querySelector(selector));
  }
  find("main").dataset.revision = revision;
  if (held) document.getElementById(held)?.focus({ preventScroll: true });
}

function submit(form, button) {
  const fields = new FormData(form, button);
  const note = find("#note");
  if (note && fields.has("note")) fields.set("note", note.value);
  return load(form.action, { method: "POST", body: new URLSearchParams(fields) });
}

page.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(event.target, event.submitter);
});

page.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (link && isPlain) {
    event.preventDefault();
    load(link.href);
  } else if (event.target.closest("button[data-key=e]")) {
    edit();
  }
});

// Keys ----------------------------------------------------------------------------------------

function edit() {
  const field = ["#find", "#answer", ".label.mine", ".label.suggested", ".label"].map(find).find(Boolean);
  field?.focus();
  if (field?.id === "answer") field.setSelectionRange(field.value.length, field.value.length);
}

function press(key) {
  if (key === "e" || key === "/") return edit(), true;
  const target = find(/^[1-9]$/.test(key) ? `[data-digit="${key}"]` : `[data-key="${CSS.escape(key)}"]`);
  if (!target || target.disabled) return false;
  if (target.matches("input")) target.focus();
  else target.click();
  return true;
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.isComposing || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && key === "Enter" && target.matches("textarea")) {
    event.preventDefault();
    target.form.requestSubmit();
  } else if (event.ctrlKey || event.metaKey) {
    return;
  } else if (key === "Escape" && isTyping(target)) {
    leave(target);
  } else if (target.id === "find") {
    if (inFind(key)) event.preventDefault();
  } else if (target.id === "note" && key === "Enter") {
    event.preventDefault();
    leave(target);
  } else if (!isTyping(target) && press(key)) {
    event.preventDefault();
  }
});

function leave(target) {
  if (target.id === "find") {
    target.value = "";
    filter("");
  } else if (target.id === "answer") {
    target.value = target.defaultValue;
  }
  find("h1").focus({ preventScroll: true });
}

// A long list of labels -----------------------------------------------------------------------

const visibleLabels = () => [...page.querySelectorAll(".many .label:not([hidden])")];
let at = 0;

function filter(text) {
  const words = text.toLowerCase().split(/[\s_]+/).filter(Boolean);
  for (const label of page.querySelectorAll(".many .label")) {
    const name = label.value.toLowerCase().replaceAll("_", " ");
    label.hidden = !words.every((word) => name.includes(word));
  }
  const count = visibleLabels().length;
  find("[data-testid=found]").textContent = count === 1 ? "1 label" : `${count} labels`;
  mark(0, text !== "");
}

function mark(place, isShown = true) {
  const labels = visibleLabels();
  at = Math.max(0, Math.min(place, labels.length - 1));
  for (const label of page.querySelectorAll(".label.at")) label.classList.remove("at");
  const field = find("#find");
  field?.removeAttribute("aria-activedescendant");
  if (!isShown || !labels[at]) return;
  labels[at].classList.add("at");
  labels[at].scrollIntoView({ block: "nearest" });
  field?.setAttribute("aria-activedescendant", labels[at].id);
}

function inFind(key) {
  if (key === "ArrowDown" || key === "ArrowUp") {
    const isMarked = find(".label.at") !== null;
    mark(isMarked ? at + (key === "ArrowDown" ? 1 : -1) : 0);
    return true;
  }
  if (key !== "Enter") return false;
  find(".label.at")?.click();
  return true;
}

page.addEventListener("input", (event) => {
  if (event.target.id === "find") filter(event.target.value);
});

// What others do, and suggestions that arrive ---------------------------------------------------

function isUntouched() {
  const field = document.activeElement;
  const answer = find("#answer");
  const note = find("#note");
  return (
    !(field && isTyping(field)) &&
    (!answer || answer.value === answer.defaultValue) &&
    (!note || note.value === note.defaultValue)
  );
}

async function look() {
  const main = find("main[data-item]");
  if (!main || document.hidden || isBusy || !isUntouched()) return;
  const item = main.dataset.item;
  try {
    const response = await fetch(`/state.json?item=${encodeURIComponent(item)}`);
    const { revision } = await response.json();
    if (revision !== null && main.isConnected && revision !== main.dataset.revision && isUntouched()) {
      await load(addressOf(item), undefined, true);
    }
  } catch {
    document.getElementById("gone").hidden = false;
  }
}

const first = find("main[data-item]");
if (first) history.replaceState(null, "", addressOf(first.dataset.item));
setInterval(look, POLL_MILLISECONDS);
