// The page: send the text, show what comes back. Text of others only ever becomes a text node.

import { sample } from "./messages.js";
import { buildFilters, showArticle, showDetail, showResults } from "./results.js";
import { element, make, state, words } from "./shared.js";

// ---- language and status

function showLanguage() {
  document.documentElement.lang = state.language;
  for (const node of document.querySelectorAll("[data-text]")) {
    node.textContent = words()[node.dataset.text];
  }
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", words()[node.dataset.label]);
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === state.language));
  }
  showCount();
  showStatus();
  if (state.sentences.length) showResults();
}

function setLanguage(language) {
  state.language = language;
  try {
    localStorage.setItem("language", language);
  } catch { /* not remembered, then */ }
  showLanguage();
}

function say(key, ...values) {
  state.status = key && [key, ...values];
  showStatus();
}

function showStatus() {
  const [key, ...values] = state.status ?? [];
  const said = words()[key] ?? "";
  element("status").textContent = typeof said === "function" ? said(...values) : said;
}

function showCount() {
  const limit = state.model?.limits.max_chars;
  const used = element("text").value.length;
  element("count").textContent = limit ? words().count(used, limit) : "";
}

// ---- the service

async function ask(path, text) {
  state.request?.abort();
  state.request = new AbortController();
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text }),
    signal: state.request.signal,
  });
  if (answer.ok) return answer;
  if (answer.status === 503) throw ["busy", answer.headers.get("Retry-After") ?? "1"];
  if (answer.status === 413) {
    const { max_chars, max_sentences } = state.model?.limits ?? {};
    throw Array.from(text).length > max_chars ? ["tooLong", max_chars] : ["tooMany", max_sentences];
  }
  throw ["failed"];
}

/** Run `work`, saying how it goes; a newer request silences an older one. */
async function attempt(work) {
  say("working");
  busy(true);
  try {
    await work();
  } catch (problem) {
    if (problem.name === "AbortError") return;
    say(...(Array.isArray(problem) ? problem : ["unreachable"]));
  }
  busy(false);
}

/** While a request is on its way, a download would silence it. */
function busy(is) {
  document.body.toggleAttribute("aria-busy", is);
  if (is) document.body.setAttribute("aria-busy", "true");
  for (const id of ["download-jsonl", "download-html"]) element(id).disabled = is;
}

async function analyze() {
  // A lone surrogate has no UTF-8 form; textarea and service must count the same characters.
  const text = element("text").value.replace(/\p{Surrogate}/gu, "\ufffd");
  if (!text.trim()) return say("nothing");
  await attempt(async () => {
    const { sentences, summary } = await (await ask("v1/analyze?summary=true", text)).json();
    state.text = text;
    state.points = Array.from(text);
    state.sentences = sentences;
    state.sources = summary ? sourcesOf(summary) : [];
    element("results").hidden = sentences.length === 0;
    if (!sentences.length) return say("nothing");
    buildFilters();
    showResults();
    say("done", sentences.length);
    element("results").focus();
  });
}

function sourcesOf({ named, unnamed, newsroom }) {
  const source = (kind) => ({ name, claims }) =>
    ({ key: `${kind}:${name ?? ""}`, name, claims: new Set(claims.map(({ start }) => start)) });
  return [
    ...named.map(source("named")),
    ...unnamed.map(source("unnamed")),
    ...[{ name: null, claims: newsroom }].map(source("newsroom")),
  ].filter(({ claims }) => claims.size);
}

async function readFile(file) {
  const limit = state.model?.limits.max_chars ?? Infinity;
  if (file.size > 4 * limit) return say("tooLong", limit);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    if (text.includes("\0")) throw new TypeError("binary");
    element("text").value = text;
  } catch {
    return say("notText");
  }
  showCount();
  await analyze();
}

// ---- downloads

function save(name, type, content) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function downloadJsonl() {
  const lines = state.sentences.map((sentence) => JSON.stringify(sentence) + "\n");
  save("stance.jsonl", "application/jsonl", lines.join(""));
}

async function downloadHtml() {
  await attempt(async () => {
    const page = await (await ask("v1/analyze?format=html", state.text)).text();
    save("stance.html", "text/html", page);
    say("done", state.sentences.length);
  });
}

// ---- what people do

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  analyze();
});
element("text").addEventListener("input", showCount);
element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("form").requestSubmit();
});
element("sample").addEventListener("click", () => {
  element("text").value = sample;
  showCount();
  analyze();
});
element("file").addEventListener("change", () => {
  const [file] = element("file").files;
  if (file) readFile(file);
  element("file").value = ""; // so that the same file can be chosen again
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  const [file] = event.dataTransfer.files;
  if (!file) return; // dropped text goes where it is dropped
  event.preventDefault();
  readFile(file);
});
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => setLanguage(button.dataset.language));
}
element("filters").addEventListener("change", showArticle);
element("source").addEventListener("change", showArticle);
element("confidence").addEventListener("input", showArticle);
element("reset").addEventListener("click", () => {
  buildFilters();
  showResults();
});
element("summary").addEventListener("click", (event) => {
  const button = event.target.closest("[data-source]");
  if (!button) return;
  element("source").value = button.dataset.source;
  showArticle();
});
element("article").addEventListener("focusin", (event) => {
  const chosen = event.target.closest(".sentence");
  if (!chosen) return;
  for (const other of element("article").querySelectorAll(".sentence[tabindex='0']")) other.tabIndex = -1;
  chosen.tabIndex = 0;
  showDetail(Number(chosen.dataset.index));
});
// One stop for the Tab key; the arrows go from sentence to sentence.
element("article").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const chosen = event.target.closest(".sentence");
  if (!step || !chosen) return;
  const all = [...element("article").querySelectorAll(".sentence")];
  const next = all[all.indexOf(chosen) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
});
element("download-jsonl").addEventListener("click", downloadJsonl);
element("download-html").addEventListener("click", downloadHtml);

showLanguage();
try {
  const answer = await fetch("v1/model");
  if (!answer.ok) throw answer.status;
  state.model = await answer.json();
  showCount();
} catch {
  say("unreachable");
}
