// The page: send the text, show what comes back. Text of others only ever becomes a text node.

import { messages, sample } from "./messages.js";

const MARKS = { confirmed: "✓", alleged: "?", denied: "✗", none: "·", uncertain: "~" };
const element = (id) => document.getElementById(id);

const state = {
  language: initialLanguage(),
  model: null, // GET v1/model
  text: "", // what was analysed
  points: [], // its characters as the service counts them: code points
  sentences: [],
  sources: [], // { key, name, claims: the starts of its sentences }, as the service summarises them
  request: null, // the AbortController of the analysis under way
  status: null, // [message, ...arguments], to be said again in the other language
};
const words = () => messages[state.language];

function initialLanguage() {
  let remembered = null;
  try {
    remembered = localStorage.getItem("language");
  } catch { /* storage may be forbidden */ }
  return Object.hasOwn(messages, remembered) ? remembered : /^(id|ms)/.test(navigator.language) ? "id" : "en";
}

/** An element with attributes and children; strings become text nodes. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const markElement = (label) => make("span", { class: "mark", "aria-hidden": "true" }, MARKS[label]);
const labelName = (head, label) =>
  label === "uncertain" ? words().uncertain : words().labels[head]?.[label] ?? label;
const headName = (head) => words().heads[head] ?? head;
const percent = (share) => `${Math.round(100 * share)} %`;
const leastConfidence = (sentence) => Math.min(...Object.values(sentence.confidence));
const sourceOf = (sentence) => state.sources.find(({ claims }) => claims.has(sentence.start));

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
  if (answer.status === 413) throw ["tooLong", state.model?.limits.max_chars ?? 0];
  throw ["failed"];
}

/** Run `work`, saying how it goes; a newer request silences an older one. */
async function attempt(work) {
  say("working");
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (problem) {
    if (problem.name === "AbortError") return;
    say(...(Array.isArray(problem) ? problem : ["unreachable"]));
  }
  document.body.removeAttribute("aria-busy");
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

const sourceName = ({ key, name }) => name ?? (key === "newsroom:" ? words().newsroom : words().noName);

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

// ---- filters

function reportedLabels(head) {
  return [...new Set(head.labels.map((label) => head.merge[label] ?? label))];
}

function buildFilters() {
  const heads = (state.model?.heads ?? []).toSorted(
    (one, other) => (other.name === "certainty") - (one.name === "certainty"),
  );
  element("filters").replaceChildren(
    ...heads.map((head) => {
      const used = new Set(state.sentences.map((sentence) => sentence[head.name]));
      const boxes = [...reportedLabels(head), "uncertain"]
        .filter((label) => used.has(label))
        .map((label) => {
          const box = make("input", { type: "checkbox", "data-head": head.name, value: label });
          box.checked = true;
          const mark = head.name === "certainty" && label in MARKS ? markElement(label) : "";
          return make("label", { class: `chip ${head.name}-${label}` }, box, mark, make("span", { "data-name": label }), make("span", { class: "number" }));
        });
      return make("fieldset", { "data-head": head.name }, make("legend"), ...boxes);
    }),
  );
  element("source").value = "";
  element("confidence").value = 0;
}

function showFilterNames() {
  for (const field of element("filters").children) {
    const head = field.dataset.head;
    field.querySelector("legend").textContent = headName(head);
    for (const chip of field.querySelectorAll("label")) {
      const label = chip.querySelector("input").value;
      chip.querySelector("[data-name]").textContent = labelName(head, label);
      const count = state.sentences.filter((sentence) => sentence[head] === label).length;
      chip.querySelector(".number").textContent = count;
    }
  }
  const chosen = element("source").value;
  element("source").replaceChildren(
    make("option", { value: "" }, words().allSources),
    ...state.sources.map((source) => make("option", { value: source.key }, sourceName(source))),
  );
  element("source").value = chosen;
}

function matcher() {
  const off = [...element("filters").querySelectorAll("input:not(:checked)")].map(
    (box) => [box.dataset.head, box.value],
  );
  const source = element("source").value;
  const least = element("confidence").value / 100;
  return (sentence) =>
    off.every(([head, label]) => sentence[head] !== label) &&
    (source === "" || sourceOf(sentence)?.key === source) &&
    leastConfidence(sentence) >= least;
}

// ---- results

function showResults() {
  showFilterNames();
  showArticle();
  showSummary();
}

function showArticle() {
  const matches = matcher();
  const paragraphs = [];
  let position = 0;
  state.sentences.forEach((sentence, index) => {
    const gap = state.points.slice(position, sentence.start).join("");
    if (!paragraphs.length || gap.includes("\n")) paragraphs.push(make("p"));
    else paragraphs.at(-1).append(" ");
    paragraphs.at(-1).append(sentenceElement(sentence, index, matches(sentence)));
    position = sentence.end;
  });
  const [first, ...rest] = paragraphs;
  if (rest.length && !/[.!?…"”]$/.test(state.sentences[0].text)) first.className = "headline";
  element("article").replaceChildren(...paragraphs);
  element("article").querySelector(".sentence").tabIndex = 0;
  element("detail").hidden = true;
  const shown = state.sentences.filter(matches).length;
  element("shown").textContent = words().shown(shown, state.sentences.length);
  element("confidence-value").textContent = percent(element("confidence").value / 100);
}

function sentenceElement(sentence, index, matches) {
  const place = { "data-index": index, tabindex: -1 };
  if (!matches) {
    return make("span", { ...place, class: "sentence other" }, ...pieces(sentence, sentence.start, sentence.end));
  }
  const { certainty, claim_type: type } = sentence;
  const spoken = Object.keys(sentence.confidence).map((head) => labelName(head, sentence[head]));
  // The first word stays with the mark, which would look lost at the end of a line.
  const word = sentence.start + Math.min(Array.from(sentence.text.split(/\s/, 1)[0]).length, 30);
  return make(
    "span",
    { ...place, class: `sentence certainty-${certainty}` },
    make("span", { class: "unseen" }, `[${spoken.join(", ")}] `),
    make("span", { class: "lead" }, certainty in MARKS ? markElement(certainty) : "", ...pieces(sentence, sentence.start, word)),
    ...pieces(sentence, word, sentence.end),
    type ? make("span", { class: "tag", "aria-hidden": "true" }, labelName("claim_type", type)) : "",
  );
}

/** A stretch of the text, cut where a cue or a source begins or ends: they may overlap. */
function pieces(sentence, from, to) {
  const spans = Object.entries(sentence.spans);
  const edges = spans.flatMap(([, span]) => [span.start, span.end]).filter((edge) => from < edge && edge < to);
  const cuts = [...new Set([from, ...edges, to])].sort((a, b) => a - b);
  return cuts.slice(1).map((end, index) => {
    const start = cuts[index];
    const text = state.points.slice(start, end).join("");
    const names = spans.filter(([, span]) => span.start <= start && end <= span.end).map(([name]) => name);
    return names.length ? make("span", { class: names.join(" ") }, text) : text;
  });
}

function showDetail(index) {
  const sentence = state.sentences[index];
  const rows = Object.entries(sentence.confidence).map(([head, confidence]) => {
    const fine = sentence.fine[head];
    const label = labelName(head, sentence[head]) + (fine ? ` (${words().fine[fine] ?? fine})` : "");
    return [headName(head), make("span", {}, `${label} `, make("span", { class: "number" }, percent(confidence)))];
  });
  const source = sourceOf(sentence);
  if (source) rows.push([words().source, sourceName(source)]);
  if (sentence.spans.cue) rows.push([words().cue, sentence.spans.cue.text]);
  if (sentence.truncated) rows.push(["!", words().truncated]);
  element("detail-list").replaceChildren(
    ...rows.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]),
  );
  element("detail").hidden = false;
}

function showSummary() {
  for (const id of ["by-source", "source-field"]) element(id).hidden = !state.sources.length;
  const labels = ["confirmed", "alleged", "denied"];
  element("summary-head").replaceChildren(
    make("th", { scope: "col" }, words().source),
    ...labels.map((label) => make("th", { scope: "col", class: `certainty-${label}`, title: labelName("certainty", label) },
      markElement(label),
      make("span", { class: "unseen" }, labelName("certainty", label)))),
  );
  element("summary").replaceChildren(
    ...state.sources.map((source) => {
      const said = state.sentences.filter((sentence) => source.claims.has(sentence.start));
      const count = (label) => said.filter((sentence) => sentence.certainty === label).length;
      const name = make("button", { type: "button", class: `link ${source.key.split(":")[0]}`, "data-source": source.key }, sourceName(source));
      return make("tr", {}, make("th", { scope: "row" }, name),
        ...labels.map((label) => make("td", {}, String(count(label) || "·"))));
    }),
  );
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
  state.model = await (await fetch("v1/model")).json();
  showCount();
} catch {
  say("unreachable");
}
